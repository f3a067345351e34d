/**
 * Runs on the store: opens what a run needs, writes every event before the loop goes on, and passes it to whoever watches.
 * The loop itself is engine/run/training-run.ts.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { ParetuneError } from '../contract/errors.ts';
import type { RunConfig } from '../contract/run-config.ts';
import type { CheckpointRecord } from '../contract/run-events.ts';
import { type Agent, openAgent } from '../engine/run/agent.ts';
import { type Environment, openEnvironment } from '../engine/run/environment.ts';
import { type RunStart, trainingRun } from '../engine/run/training-run.ts';
import { openStore, runFolder, type Store } from '../store/open-store.ts';
import type { CommandContext } from './command.ts';
import { openCorpus } from './corpora.ts';

export type RunResult = {
  run: string;
  status: 'finished' | 'stopped';
  /** updates made */
  step: number;
  seconds: number;
};

/** Opens the store for writing, or says who holds it. The caller closes it. */
export function openWriter(context: Pick<CommandContext, 'dataFolder'>): Store {
  const store = openStore(context.dataFolder, { mode: 'write' });
  if (store.mode === 'write') return store;
  const writer = store.writer();
  store.close();
  throw new ParetuneError('store', `Another process (${writer?.pid ?? 'unknown'}) writes to ${context.dataFolder}.`, {
    hint: 'Wait for it, stop it, or use another folder with --data.',
  });
}

/** Model and tasks of a configuration, with every tool checked. The caller closes the environment. */
export async function openAgentAndEnvironment(
  config: Pick<RunConfig, 'model' | 'tasks' | 'tools' | 'taskOptions'>,
  context: Pick<CommandContext, 'dataFolder' | 'progress'>,
): Promise<{ agent: Agent; environment: Environment }> {
  const agent = openAgent(config.model);
  const environment = await openEnvironment(agent, config, (corpus) => openCorpus(corpus, context));
  return { agent, environment };
}

/** Threads of a run: as asked, else one for each core. */
export function threadsOf(config: Pick<RunConfig, 'threads'>): number {
  return config.threads > 0 ? config.threads : availableParallelism();
}

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** A new run of a configuration, to its end or until it is stopped. */
export async function newRun(config: RunConfig, context: CommandContext): Promise<RunResult> {
  const store = openWriter(context);
  try {
    const runId = nextRunId(store, config);
    return await drive(store, runId, config, { kind: 'new' }, context);
  } finally {
    store.close();
  }
}

/** Goes on with a run from its last checkpoint, or from the one of step `from`. */
export async function resumeRun(
  name: string,
  options: { from?: number; steps?: number },
  context: CommandContext,
): Promise<RunResult> {
  const store = openWriter(context);
  try {
    const run = store.getRun(name);
    const last = keptCheckpoints(store, run.runId)
      .filter((checkpoint) => options.from === undefined || checkpoint.step === options.from)
      .at(-1);
    if (!last) {
      throw new ParetuneError(
        'not-found',
        `The run ${run.runId} has no checkpoint${options.from === undefined ? '' : ` of step ${options.from}`}.`,
        {
          hint: 'paretune show lists the checkpoints of a run; start it again with paretune tune.',
        },
      );
    }
    const config = { ...run.config, steps: options.steps ?? run.config.steps };
    const attempt = store.resumeRun(run.runId, last.step);
    const folder = join(runFolder(context.dataFolder, run.runId), last.folder);
    return await drive(store, run.runId, config, { kind: 'resume', folder, attempt }, context);
  } finally {
    store.close();
  }
}

/** The checkpoints of a run that still exist and belong to what it is now, by step. */
export function keptCheckpoints(store: Store, run: string): CheckpointRecord[] {
  return store
    .checkpoints(run)
    .filter((row) => !row.dropped && row.supersededBy === null)
    .map((row) => row.checkpoint)
    .sort((a, b) => a.step - b.step);
}

async function drive(
  store: Store,
  runId: string,
  config: RunConfig,
  begin: RunStart,
  context: CommandContext,
): Promise<RunResult> {
  context.progress({ label: 'opening the model and checking the tools', done: 0, total: 0 });
  const { agent, environment } = await openAgentAndEnvironment(config, context);
  const began = performance.now();
  let result: RunResult = { run: runId, status: 'stopped', step: 0, seconds: 0 };
  let logMs = 0;
  try {
    const events = trainingRun(config, begin, {
      runId,
      agent,
      environment,
      runFolder: runFolder(context.dataFolder, runId),
      machine: { engineVersion: version, threads: threadsOf(config), cpu: cpus()[0]?.model ?? 'unknown' },
      clock: () => performance.now(),
      signal: context.signal,
      lastLogMs: () => logMs,
    });
    for await (const event of events) {
      const from = performance.now();
      store.append(event);
      logMs = performance.now() - from;
      context.emit(event);
      if (event.kind === 'ended') {
        if (event.status === 'failed') {
          throw new ParetuneError('diverged', event.reason, { hint: `Look at it with: paretune show ${runId}` });
        }
        const seconds = Math.round((performance.now() - began) / 100) / 10;
        result = {
          run: runId,
          status: event.status === 'finished' ? 'finished' : 'stopped',
          step: event.step,
          seconds,
        };
      }
      // lets stop requests and heartbeats through between two events
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    await environment.close();
  }
  return result;
}

/** `arithmetic-paretopo-3`: task, method and a number of its own. */
function nextRunId(store: Store, config: RunConfig): string {
  const task = config.tasks.map((name) => (name.split(/[\\/]/).at(-1) ?? name).replace(/\.\w+$/, '')).join('+');
  const stem = `${task}-${config.method}`
    .toLowerCase()
    .replace(/[^a-z0-9+-]+/g, '-')
    .slice(0, 48);
  const taken = new Set(store.listRuns().map((run) => run.runId));
  let number = taken.size + 1;
  while (taken.has(`${stem}-${number}`)) number++;
  return `${stem}-${number}`;
}
