/**
 * `window-estimate`: whether a run fits into memory and how long it takes, before it starts (`tune --dry-run` and the form of
 * a new run). Memory is counted from the shapes. Time is taken from steps of the same model on this machine; else from
 * rollouts and a gradient made now; else, where the model is large, from a few layers of its widths, before it is loaded.
 */
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { type RunConfig, runConfigSchema } from '../../contract/run-config.ts';
import { providerOf } from '../../contract/providers.ts';
import type { Estimate } from '../../contract/window-api.ts';
import { mean } from '../../engine/base/statistics.ts';
import { collectTrajectories } from '../../engine/rollout/collect.ts';
import { DecodeEngine } from '../../engine/rollout/decode-engine.ts';
import type { Agent } from '../../engine/run/agent.ts';
import type { Environment } from '../../engine/run/environment.ts';
import { gradeGroups } from '../../engine/run/evaluate.ts';
import { newTrainer, trainRow } from '../../engine/run/policy-update.ts';
import { databasePath } from '../../store/open-store.ts';
import { openAgentOf } from '../agents.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { factsOf } from '../describe-model.ts';
import { memoryEstimate } from '../memory-estimate.ts';
import { withOwnTools } from '../own-tools.ts';
import { answerTokensOf, thinModelTime } from '../thin-model-time.ts';
import { openRunEnvironment } from '../run-environment.ts';
import { threadsOf } from '../threads.ts';
import { withStore } from '../with-store.ts';

/** Enough to tell a slow model from a fast one, and at most what a measurement is made on. */
const fewRollouts = 8;
const mostRollouts = 256;
/** A model of more parameters takes too long to load and to measure while somebody waits. */
const smallParameters = 20e6;

export const command = defineCommand({
  payload: z.strictObject({ config: runConfigSchema }),
  async run({ config: asked }, context): Promise<Estimate> {
    const config = withOwnTools(asked, context.dataFolder);
    const agent = openAgentOf(context.dataFolder, config.model);
    const memory = memoryEstimate(agent.config, config);
    if (memory.verdict === 'exceeds') return { memory, time: null };
    const past = await fromPastRuns(config, context);
    if (past !== null) return { memory, time: past };
    context.progress({ label: 'measuring', done: 0, total: 0 });
    const environment = await openRunEnvironment(agent, config, context);
    try {
      const large = factsOf(agent).parameters > smallParameters && providerOf(config.provider) === 'cpu';
      const measure = large ? fromLayers : fromRollouts;
      return { memory, time: await measure(agent, environment, config, context) };
    } finally {
      await environment.close();
    }
  },
});

/** The steps of the last run of the same model, tasks, limits and training, scaled by the rollouts of a step. */
async function fromPastRuns(config: RunConfig, { dataFolder }: CommandContext): Promise<Estimate['time']> {
  if (!existsSync(databasePath(dataFolder))) return null;
  return withStore(dataFolder, 'read', (store) => {
    const same = store
      .listRuns()
      .filter(({ model, tasks }) => model === config.model && JSON.stringify(tasks) === JSON.stringify(config.tasks));
    for (const { runId } of same) {
      const steps = store.steps(runId).slice(-20);
      const past = store.getRun(runId).config;
      if (steps.length < 3 || !alike(past, config)) continue;
      const rollouts = past.problemsPerStep * past.groupSize * steps.length;
      const secondsOf = (name: 'stepMs' | 'rolloutMs') =>
        steps.reduce((sum, { metrics }) => sum + metrics[name], 0) / 1000 / rollouts;
      const basis = `the last ${steps.length} steps of ${runId}`;
      return timeOf(config, { trained: secondsOf('stepMs'), sampled: secondsOf('rolloutMs') }, basis);
    }
    return null;
  });
}

/** Whether a step of both takes equally long for a rollout. */
function alike(past: RunConfig, config: RunConfig): boolean {
  const of = ({ limits, train, provider, threads, tools }: RunConfig) => {
    const { parameters, lora, updatesPerBatch, klCoefficient, recompute } = train;
    const work = [parameters, parameters === 'lora' && lora, updatesPerBatch, klCoefficient > 0, recompute];
    return JSON.stringify([limits, work, providerOf(provider), threads, tools]);
  };
  return of(past) === of(config);
}

/** Rollouts and a gradient made now, as many as take a moment: a small model is timed on as full a batch as a step has. */
async function fromRollouts(
  agent: Agent,
  environment: Environment,
  config: RunConfig,
  context: CommandContext,
): Promise<Estimate['time']> {
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
    // in groups, as in a step: they share their prompts, and often what a tool answers
    const roll = (count: number) => {
      const samples = Math.min(count, config.groupSize);
      const requests = problems.slice(0, Math.ceil(count / samples)).map((problem) => ({ problem, samples }));
      return timed(async () => {
        const { formatOf, callTool } = environment;
        const { groups } = await collectTrajectories(requests, engine, formatOf, callTool, settings);
        return gradeGroups(
          environment,
          requests.map(({ problem }) => problem),
          groups,
        );
      });
    };
    // the first use opens sessions and interpreters
    await roll(fewRollouts);
    let rolled = await roll(fewRollouts);
    if (rolled.seconds < 1) rolled = await roll(most);
    const rollouts = rolled.value.flat().length;
    // a group that came out alike has nothing to teach, and is not computed
    const rows = rolled.value.flatMap((group) => {
      const alike = group.every(({ success, cost }) => success === group[0].success && cost === group[0].cost);
      const scores = { rewards: [], paretoRank: 0, advantage: alike ? 0 : 1 };
      return group.map((trajectory) => trainRow({ ...trajectory, ...scores }));
    });
    await timed(() => trainer.gradient(rows.slice(0, 1).map((row) => ({ ...row, advantage: 1 }))));
    const learned = await timed(() => trainer.gradient(rows));
    const sampled = rolled.seconds / rollouts;
    const trained = sampled + (train.updatesPerBatch * learned.seconds) / rollouts;
    return timeOf(config, { trained, sampled }, `${rollouts} rollouts and a gradient made now`);
  } finally {
    await trainer.dispose();
    await engine.dispose();
  }
}

/** A few layers of the model's widths, on prompts of the task and answers as long as they may be. */
async function fromLayers(
  { config: model }: Agent,
  environment: Environment,
  config: RunConfig,
  context: CommandContext,
): Promise<Estimate['time']> {
  const problems = environment.problems('train', mostRollouts, config.seed).slice(0, mostRollouts);
  const prompts = problems.map((problem) => environment.formatOf(problem).promptTokens(problem.messages).length);
  const promptTokens = mean(prompts);
  const time = await thinModelTime(model, config, promptTokens, threadsOf(config.threads), context.signal);
  const answer = answerTokensOf(model, config, promptTokens);
  const layers = `${time.layersTimed} of ${model.layers} layers, timed now without the model's weights`;
  return timeOf(config, time, `${layers}, with answers of all ${answer} tokens that they may have: most are shorter`);
}

/** Steps and evaluations; the report split is measured twice. `seconds` are those of one trajectory. */
function timeOf(config: RunConfig, seconds: { trained: number; sampled: number }, basis: string): Estimate['time'] {
  const { steps, problemsPerStep, groupSize, evaluation, selectionProblems, reportProblems, tasks } = config;
  const secondsPerStep = seconds.trained * problemsPerStep * groupSize;
  const samplings = evaluation.greedy ? 2 : 1;
  const evaluations = 1 + Math.ceil(steps / evaluation.everySteps);
  const measured = samplings * tasks.length * (evaluations * selectionProblems + 2 * reportProblems);
  return { secondsPerStep, seconds: steps * secondsPerStep + measured * seconds.sampled, basis };
}
