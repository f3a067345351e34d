/** What the tests of rollouts and runs share: the bundled agents in a small setting, and a run driven to its end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import { type RunConfig, type RunConfigInput, runConfigSchema } from '../../src-main/contract/run-config.ts';
import { type Agent, openAgent } from '../../src-main/engine/run/agent.ts';
import { type Environment, openEnvironment } from '../../src-main/engine/run/environment.ts';
import { type RunDependencies, type RunStart, trainingRun } from '../../src-main/engine/run/training-run.ts';
import type { RolloutSettings } from '../../src-main/engine/rollout/collect.ts';
import { openCorpus } from '../../src-main/engine-process/corpora.ts';

/** A folder that is gone when the test is over. */
export function temporaryFolder(context: { after(action: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'paretune-test-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function openTasks(
  agent: Agent,
  tasks: string[],
  dataFolder: string,
  tools: string[] = [],
): Promise<Environment> {
  return openEnvironment(agent, { tasks, tools }, (source) => openCorpus(source, { dataFolder, progress() {} }));
}

export const overUser = openAgent('starter:over-user');

/** A run of seconds. */
export function tinyConfig(changes: Partial<RunConfigInput> = {}): RunConfig {
  return runConfigSchema.parse({
    model: 'starter:over-user',
    tasks: ['arithmetic'],
    steps: 2,
    problemsPerStep: 4,
    groupSize: 4,
    trainProblems: 16,
    selectionProblems: 12,
    reportProblems: 8,
    evaluation: { everySteps: 2, greedy: false },
    checkpoint: { everySteps: 1 },
    ...changes,
  });
}

export function rolloutSettings(changes: Partial<RolloutSettings> = {}): RolloutSettings {
  return {
    limits: tinyConfig().limits,
    batch: 64,
    seed: 0,
    step: 0,
    sampling: 'sampled',
    temperature: 1,
    prices: {},
    weightsVersion: 0,
    clock: () => performance.now(),
    ...changes,
  };
}

/** All events of a run, or of its beginning: `stopAfter` asks it to stop once that step is done. */
export async function runEvents(
  config: RunConfig,
  folder: string,
  options: {
    begin?: RunStart;
    stopAfter?: number;
    dependencies?: Partial<RunDependencies>;
    onEvent?: (event: RunEvent) => void;
  } = {},
): Promise<RunEvent[]> {
  const agent = options.dependencies?.agent ?? openAgent(config.model);
  const environment = options.dependencies?.environment ?? (await openTasks(agent, config.tasks, folder));
  const stop = new AbortController();
  const events: RunEvent[] = [];
  try {
    const run = trainingRun(config, options.begin ?? { kind: 'new' }, {
      runId: 'test',
      agent,
      environment,
      runFolder: join(folder, 'run'),
      machine: { engineVersion: 'test', threads: 1, cpu: 'test' },
      clock: () => performance.now(),
      signal: stop.signal,
      ...options.dependencies,
    });
    for await (const event of run) {
      events.push(event);
      options.onEvent?.(event);
      if (event.kind === 'step' && event.step === options.stopAfter) stop.abort();
    }
  } finally {
    await environment.close();
  }
  return events;
}

/** The last event of a kind. */
export function lastOf<Kind extends RunEvent['kind']>(
  events: RunEvent[],
  kind: Kind,
): Extract<RunEvent, { kind: Kind }> {
  const found = events.findLast((event) => event.kind === kind);
  if (!found) throw new Error(`no event ${kind}`);
  return found as Extract<RunEvent, { kind: Kind }>;
}
