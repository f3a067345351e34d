/**
 * Drives the training loop: opens what a run needs, stores every event before the loop goes on, and tells the supervisor.
 * What the loop does is engine/run/training-run.ts.
 */
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { ParetuneError, toErrorRecord } from '../contract/errors.ts';
import type { RunConfig } from '../contract/run-config.ts';
import type { RunEvent } from '../contract/run-events.ts';
import { type RunStart, trainingRun } from '../engine/run/training-run.ts';
import { runFolder, type Store } from '../store/open-store.ts';
import { openAgentOf } from './agents.ts';
import type { CommandContext } from './command.ts';
import { openRunEnvironment } from './run-environment.ts';
import { takePrices } from './price-changes.ts';
import { threadsOf } from './threads.ts';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

/**
 * Runs to the end, or until the user stops, into a store or whatever else takes events; checkpoints go to `folder`. What the
 * loop throws is written down as the run's end and thrown again; a run that the loop itself had to stop is a `diverged` error.
 */
export async function driveRun(
  store: Pick<Store, 'append'>,
  runId: string,
  config: RunConfig,
  begin: RunStart,
  context: CommandContext,
  folder: string = runFolder(context.dataFolder, runId),
): Promise<void> {
  context.progress({ label: 'opening the model, tasks and tools', done: 0, total: 0 });
  const agent = openAgentOf(context.dataFolder, config.model);
  const environment = await openRunEnvironment(agent, config, context);
  let begun = begin.kind === 'resume';
  let step = 0;
  let lastLogMs = 0;
  let failure: string | null = null;
  try {
    const events = trainingRun(config, begin, {
      runId,
      agent,
      environment,
      runFolder: folder,
      machine: { engineVersion: version, threads: threadsOf(config.threads), cpu: cpus()[0]?.model ?? 'unknown' },
      clock: () => performance.now(),
      signal: context.signal,
      takePrices: () => takePrices(runId),
    });
    for await (const event of events) {
      const from = performance.now();
      store.append(withLogTime(event, lastLogMs));
      if (event.kind === 'step') {
        lastLogMs = performance.now() - from;
        step = event.step;
      }
      if (event.kind === 'ended' && event.status === 'failed') failure = event.reason;
      begun = true;
      context.emit(event);
    }
  } catch (error) {
    if (begun) appendEnd(store, { kind: 'ended', runId, step, status: 'failed', reason: toErrorRecord(error).message });
    throw error;
  } finally {
    await environment.close();
  }
  if (failure === null) return;
  throw new ParetuneError(
    'diverged',
    `The run ${runId} was stopped after step ${step} to protect the model. ${failure}`,
    {
      hint: `Its last good step is saved: paretune show ${runId}. Once the cause is gone, paretune resume ${runId} goes on.`,
    },
  );
}

/** A step cannot hold the time of its own writing: it holds that of the step before. */
function withLogTime(event: RunEvent, logMs: number): RunEvent {
  return event.kind === 'step' ? { ...event, metrics: { ...event.metrics, logMs } } : event;
}

/** The first error is the one to tell: on a full disk even this cannot be written. */
function appendEnd(store: Pick<Store, 'append'>, event: RunEvent): void {
  try {
    store.append(event);
  } catch {
    // the next writer finds the run unfinished and marks it so
  }
}
