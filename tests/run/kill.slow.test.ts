/**
 * The promise of checkpoints, kept under violence: a run that is killed (SIGKILL, the engine and its supervisor) at twenty
 * random moments and resumed each time ends with the same weights and trajectories as one that was left alone.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { openStore, type Store } from '../../src-main/store/open-store.ts';
import { temporaryFolder } from './starter.ts';

const command = join(import.meta.dirname, '..', '..', 'src-main', 'cli', 'main.ts');
const KILLS = 20;
const STEPS = 24;
const settings = [
  ['problemsPerStep', 4],
  ['groupSize', 4],
  ['trainProblems', 32],
  ['selectionProblems', 8],
  ['reportProblems', 8],
  ['evaluation.everySteps', 6],
  ['evaluation.greedy', false],
  ['checkpoint.everySteps', 2],
  ['threads', 1],
].flatMap(([name, value]) => ['--set', `${name}=${value}`]);
const tune = [
  'tune',
  '--name',
  'run',
  '--model',
  'starter:over-user',
  '--task',
  'arithmetic',
  '--steps',
  String(STEPS),
  ...settings,
];

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

test('twenty kills at random moments change nothing', { timeout: 14 * 60_000 }, async (t) => {
  const alone = temporaryFolder(t);
  const { code, text } = await ended(paretune(tune, alone));
  assert.equal(code, 0, text);
  const expected = finalState(alone);
  assert.equal(expected.step, STEPS);

  const folder = temporaryFolder(t);
  const random = randomStream(1, 'kills');
  let kills = 0;
  let args = tune;
  for (;;) {
    const child = paretune(args, folder);
    const end = ended(child);
    if (kills < KILLS) void killSomewhere(child, folder, random);
    const { code: exit, text: said } = await end;
    if (exit === 0) break;
    assert.equal(exit, null, `it ended of itself: ${said}`);
    kills++;
    const left = whatIsLeft(folder);
    // the kill came between the run's end and the process's: nothing is left to resume
    if (left === 'finished') break;
    // killed before its first checkpoint was saved there is nothing to resume: from the beginning, then
    args = left === 'checkpoint' ? ['resume', 'run'] : tune;
    if (args === tune) rmSync(folder, { recursive: true, force: true });
    assert.ok(kills <= KILLS, 'the run does not come to its end');
  }
  const actual = finalState(folder);
  t.diagnostic(`${kills} kills`);
  assert.ok(kills >= 5, `only ${kills} kills hit the run`);
  assert.equal(actual.status, 'finished');
  assert.equal(actual.hash, expected.hash);
  assert.deepEqual(actual.groups.map(withoutTimes), expected.groups.map(withoutTimes));
});

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
function withoutTimes(groups: ReturnType<typeof finalState>['groups'][number]) {
  return groups.map((group) => ({
    ...group,
    trajectories: group.trajectories.map((one) => ({
      ...one,
      toolCalls: one.toolCalls.map((call) => ({ ...call, milliseconds: 0 })),
    })),
  }));
}
