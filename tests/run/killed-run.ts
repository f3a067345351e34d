/**
 * A run through the command line that is killed (SIGKILL, the engine and its supervisor) at random moments and resumed each
 * time until it is done, and what it came to. What is run and what must be equal is the tests' matter.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { openStore, type Store } from '../../src-main/store/open-store.ts';

const command = join(import.meta.dirname, '..', '..', 'src-main', 'cli', 'main.ts');

/** Runs it to its end and gives the final state. */
export async function uninterrupted(tune: string[], dataFolder: string) {
  const { code, text } = await ended(paretune(tune, dataFolder));
  assert.equal(code, 0, text);
  return finalState(dataFolder);
}

/**
 * The same with up to `most` kills at moments that `seed` decides; how many of them hit the run. `prepare` is called for the
 * data folder whenever it is begun anew.
 */
export async function killed(
  tune: string[],
  dataFolder: string,
  { most, seed, prepare = () => {} }: { most: number; seed: string; prepare?: (dataFolder: string) => void },
) {
  const random = randomStream(1, seed);
  let kills = 0;
  let args = tune;
  prepare(dataFolder);
  for (;;) {
    const child = paretune(args, dataFolder);
    const end = ended(child);
    if (kills < most) void killSomewhere(child, dataFolder, random);
    const { code: exit, text: said } = await end;
    if (exit === 0) break;
    assert.equal(exit, null, `it ended of itself: ${said}`);
    kills++;
    const left = whatIsLeft(dataFolder);
    // the kill came between the run's end and the process's: nothing is left to resume
    if (left === 'finished') break;
    // killed before its first checkpoint was saved there is nothing to resume: from the beginning, then
    args = left === 'checkpoint' ? ['resume', 'run'] : tune;
    if (args === tune) {
      rmSync(dataFolder, { recursive: true, force: true });
      prepare(dataFolder);
    }
    assert.ok(kills <= most, 'the run does not come to its end');
  }
  return { kills, ...finalState(dataFolder) };
}

/** In a process group of its own, so that a kill takes the engine with it. */
function paretune(args: string[], dataFolder: string): ChildProcess {
  return spawn(process.execPath, [command, ...args, '--json'], {
    env: { ...process.env, PARETUNE_HOME: dataFolder },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
}

function ended(child: ChildProcess): Promise<{ code: number | null; text: string }> {
  let text = '';
  child.stdout?.on('data', (data) => {
    text += data;
  });
  child.stderr?.on('data', (data) => {
    text += data;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, text })));
}

function finalState(dataFolder: string) {
  const store = openStore(dataFolder, { mode: 'read' });
  try {
    const last = store.checkpoints('run').at(-1)!.checkpoint;
    const steps = store.steps('run').map(({ step }) => step);
    return {
      step: last.step,
      hash: last.weightsHash,
      groups: steps.map((step) => store.readStep('run', step)),
      status: store.getRun('run').status,
    };
  } finally {
    store.close();
  }
}

/**
 * While it starts, or within one to three steps of where it went on: counted in steps, so that a fast machine is killed as
 * often as a slow one.
 */
async function killSomewhere(child: ChildProcess, folder: string, random: { next(): number }): Promise<void> {
  const until = stepsSaved(folder) + Math.floor(random.next() * 3);
  const pause = random.next() * (until === stepsSaved(folder) ? 1000 : 150);
  const running = () => child.exitCode === null && child.signalCode === null;
  while (running() && stepsSaved(folder) < until) await sleep(20);
  await sleep(pause);
  if (running()) process.kill(-child.pid!, 'SIGKILL');
}

function stepsSaved(folder: string): number {
  return look(folder, (store) => store.steps('run').length) ?? 0;
}

function whatIsLeft(folder: string): 'nothing' | 'checkpoint' | 'finished' {
  const left = look(folder, (store) => {
    if (store.checkpoints('run').length === 0) return 'nothing';
    return store.getRun('run').status === 'finished' ? 'finished' : 'checkpoint';
  });
  return left ?? 'nothing';
}

/** Undefined while there is no run to look at. */
function look<T>(folder: string, read: (store: Store) => T): T | undefined {
  try {
    const store = openStore(folder, { mode: 'read' });
    try {
      return read(store);
    } finally {
      store.close();
    }
  } catch {
    return undefined;
  }
}

/** How long a tool took is the one thing that may differ. */
export function withoutTimes(groups: ReturnType<typeof finalState>['groups'][number]) {
  return groups.map((group) => ({
    ...group,
    trajectories: group.trajectories.map((one) => ({
      ...one,
      toolCalls: one.toolCalls.map((call) => ({ ...call, milliseconds: 0 })),
    })),
  }));
}
