/**
 * `window-estimate`: whether a run fits into memory and how long it takes, before it starts. Memory is counted from the
 * shapes; time is taken from steps of the same model on this machine, or from rollouts and a gradient made now.
 */
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { type RunConfig, runConfigSchema } from '../../contract/run-config.ts';
import type { Estimate } from '../../contract/window-api.ts';
import { DecodeEngine } from '../../engine/rollout/decode-engine.ts';
import type { Agent } from '../../engine/run/agent.ts';
import { rollOut } from '../../engine/run/evaluate.ts';
import { newTrainer, trainRow } from '../../engine/run/policy-update.ts';
import { databasePath } from '../../store/open-store.ts';
import { openAgentOf } from '../agents.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { memoryEstimate } from '../memory-estimate.ts';
import { withOwnTools } from '../own-tools.ts';
import { openRunEnvironment } from '../run-environment.ts';
import { threadsOf } from '../drive-run.ts';
import { withStore } from '../with-store.ts';

/** Enough to tell a slow model from a fast one, and at most what a measurement is made on. */
const fewRollouts = 8;
const mostRollouts = 128;

export const command = defineCommand({
  payload: z.strictObject({ config: runConfigSchema }),
  async run({ config: asked }, context): Promise<Estimate> {
    const config = withOwnTools(asked, context.dataFolder);
    const agent = openAgentOf(context.dataFolder, config.model);
    const memory = memoryEstimate(agent.config, config);
    const time =
      memory.verdict === 'exceeds'
        ? null
        : ((await fromPastRuns(config, context)) ?? (await fromRollouts(agent, config, context)));
    return { memory, time };
  },
});

/** The steps of the last run of the same model and tasks, scaled by the rollouts of a step. */
async function fromPastRuns(config: RunConfig, { dataFolder }: CommandContext): Promise<Estimate['time']> {
  if (!existsSync(databasePath(dataFolder))) return null;
  return withStore(dataFolder, 'read', (store) => {
    const same = store
      .listRuns()
      .filter(({ model, tasks }) => model === config.model && JSON.stringify(tasks) === JSON.stringify(config.tasks));
    for (const { runId } of same) {
      const steps = store.steps(runId).slice(-20);
      if (steps.length < 3) continue;
      const past = store.getRun(runId).config;
      const seconds = steps.reduce((sum, { metrics }) => sum + metrics.stepMs, 0) / 1000 / steps.length;
      const secondsPerRollout = seconds / (past.problemsPerStep * past.groupSize);
      return timeOf(config, secondsPerRollout, secondsPerRollout / 2, `the last ${steps.length} steps of ${runId}`);
    }
    return null;
  });
}

/** Rollouts and a gradient made now, as many as take a moment: a small model is timed on as full a batch as a step has. */
async function fromRollouts(agent: Agent, config: RunConfig, context: CommandContext): Promise<Estimate['time']> {
  context.progress({ label: 'measuring', done: 0, total: 0 });
  const environment = await openRunEnvironment(agent, config, context);
  const { train, seed } = config;
  const policy = agent.newPolicy(train.parameters === 'lora' ? train.lora : null, seed);
  const threads = threadsOf(config.threads);
  const maxTokens = Math.min(config.limits.tokens, agent.config.maxPositions);
  const engine = new DecodeEngine(policy, { threads, maxTokens });
  const trainer = newTrainer(config, policy, threads);
  try {
    const most = Math.min(mostRollouts, config.rolloutBatch, config.problemsPerStep * config.groupSize);
    const problems = environment.problems('train', most, seed).slice(0, most);
    const settings = {
      limits: { ...config.limits, tokens: maxTokens },
      batch: config.rolloutBatch,
      seed,
      step: 0,
      sampling: 'sampled',
      temperature: 1,
      prices: {},
      weightsVersion: 0,
      clock: () => performance.now(),
      signal: context.signal,
    } as const;
    const timed = async <T>(work: () => Promise<T>) => {
      if (context.signal.aborted) throw new ParetuneError('interrupted', 'Stopped before it was measured.');
      const from = performance.now();
      const value = await work();
      return { value, seconds: (performance.now() - from) / 1000 };
    };
    const roll = (count: number) => timed(() => rollOut(environment, engine, problems.slice(0, count), settings));
    // the first use opens sessions and interpreters
    await roll(fewRollouts);
    let rolled = await roll(fewRollouts);
    if (rolled.seconds < 1) rolled = await roll(most);
    const rollouts = rolled.value.length;
    const rows = rolled.value.map(({ trajectory }) =>
      trainRow({ ...trajectory, rewards: [], paretoRank: 0, advantage: 1 }),
    );
    await timed(() => trainer.gradient(rows.slice(0, 1)));
    const learned = await timed(() => trainer.gradient(rows));
    const perRollout = rolled.seconds / rollouts;
    const perTrained = perRollout + (train.updatesPerBatch * learned.seconds) / rollouts;
    return timeOf(config, perTrained, perRollout, `${rollouts} rollouts and a gradient made now`);
  } finally {
    await trainer.dispose();
    await engine.dispose();
    await environment.close();
  }
}

/** Steps and evaluations; the report split is measured twice. */
function timeOf(config: RunConfig, perTrained: number, perMeasured: number, basis: string): Estimate['time'] {
  const { steps, problemsPerStep, groupSize, evaluation, selectionProblems, reportProblems, tasks } = config;
  const secondsPerStep = perTrained * problemsPerStep * groupSize;
  const samplings = evaluation.greedy ? 2 : 1;
  const evaluations = 1 + Math.ceil(steps / evaluation.everySteps);
  const measured = samplings * tasks.length * (evaluations * selectionProblems + 2 * reportProblems);
  return { secondsPerStep, seconds: steps * secondsPerStep + measured * perMeasured, basis };
}
