/**
 * The training loop, top to bottom. Read this first.
 *
 *   problems -> rollouts -> grades -> reward vectors -> advantages -> one update -> (evaluation, checkpoint) -> next step
 *
 * A run is an async generator of events. Whoever consumes it stores each event before asking for the next one, so nothing
 * the loop builds on can be lost; commands (stop, new prices) take effect between two steps. The same configuration, seed
 * and machine give the same events, however often the run was interrupted.
 */
import type { Group, PolicyPoint, Problem, ScoredTrajectory } from '../../contract/records.ts';
import { providerOf } from '../../contract/providers.ts';
import type { RunConfig } from '../../contract/run-config.ts';
import type { RunEvent, RunFacts } from '../../contract/run-events.ts';
import type { AdvantageMethod } from '../advantage/method.ts';
import { makeMethod, objectiveWeights } from '../advantage/methods.ts';
import { randomStream } from '../base/random.ts';
import { measureReferencePrice } from '../reward/amounts.ts';
import { emptyFewest } from '../reward/fewest.ts';
import { scoreGroups } from '../reward/score-groups.ts';
import { collectTrajectories, type RolloutSettings } from '../rollout/collect.ts';
import { copyPolicy, type Policy, trainable } from '../runtime/policy.ts';
import { parameterCount } from '../runtime/parameters.ts';
import { requireDevice } from '../runtime/providers.ts';
import { runtimeVersion } from '../runtime/session.ts';
import { scheduledRate } from '../train/adamw.ts';
import { listCheckpoints, pruneCheckpoints } from '../train/checkpoint.ts';
import type { Agent } from './agent.ts';
import type { Environment } from './environment.ts';
import { type EvaluatedTrajectory, gradeGroups, policyPoint, rollOut, ungradedNote } from './evaluate.ts';
import { evaluationSeed } from './measure-policy.ts';
import { trainRow, updatePolicy, wentThrough } from './policy-update.ts';
import {
  closeComputing,
  computed,
  type Computing,
  openComputing,
  proveProvider,
  tellProvider,
} from './run-provider.ts';
import { checkHealth, checkPoint, checkRollouts, requireNumbers } from './run-health.ts';
import { stepMetrics } from './step-metrics.ts';
import { checkpointsToKeep, firstState, type RunState, withPoint } from './run-state.ts';
import { restoreTrained, saveTrained } from './trainer-checkpoint.ts';

export type RunDependencies = {
  runId: string;
  agent: Agent;
  environment: Environment;
  /** where checkpoints go */
  runFolder: string;
  /** what the machine is: goes into the run's facts */
  machine: { engineVersion: string; threads: number; cpu: string };
  /** milliseconds, monotonic; measures and limits only */
  clock: () => number;
  /** aborted when the user asks to stop: the step is finished and saved */
  signal: AbortSignal;
  /** new prices the user set since the last call, or null */
  takePrices?: () => Record<string, number> | null;
};

/** Where a run begins: at its start, or at the checkpoint in a folder; `after` is what made it go on by itself, for the log. */
export type RunStart = { kind: 'new' } | { kind: 'resume'; folder: string; attempt: number; after?: string };

/** Everything of a run that lives in memory. */
type Run = Computing & {
  deps: RunDependencies;
  /** the start policy, never changed: KL is measured against it */
  start: Policy;
  method: AdvantageMethod;
  training: Problem[];
  selection: Problem[];
  report: Problem[];
  state: RunState;
};

export async function* trainingRun(
  config: RunConfig,
  begin: RunStart,
  deps: RunDependencies,
): AsyncGenerator<RunEvent, void> {
  const { runId } = deps;
  const provider = providerOf(config.provider);
  if (provider !== 'cpu') await requireDevice(provider);
  const run = openRun(config, deps);
  try {
    if (begin.kind === 'resume') {
      restore(run, begin.folder);
      const { step } = run.state;
      yield { kind: 'resumed', runId, fromStep: step, attempt: begin.attempt };
      if (begin.after !== undefined) {
        yield { kind: 'notice', runId, step, level: 'warning', code: 'provider-failed', message: begin.after };
      }
      yield* proveProvider(run);
    } else {
      yield* startRun(run);
    }
    while (run.state.step < config.steps) {
      if (deps.signal.aborted) return yield* endRun(run, 'stopped', 'The user stopped the run.');
      yield* changePrices(run);
      const problem = yield* trainingStep(run);
      if (problem) return yield* endRun(run, 'failed', problem);
      const { step } = run.state;
      const last = step === config.steps;
      const diverged = last || step % config.evaluation.everySteps === 0 ? yield* evaluate(run) : null;
      if (diverged) return yield* endRun(run, 'failed', diverged);
      if (last || step % config.checkpoint.everySteps === 0) yield* checkpoint(run);
    }
    yield* measure(run, run.report, 'report');
    yield* tellProvider(run);
    yield { kind: 'ended', runId, step: run.state.step, status: 'finished', reason: 'All steps are done.' };
  } finally {
    await closeComputing(run);
  }
}

/** The step of a run: from problems to an update. Answers with a reason where training must stop. */
async function* trainingStep(run: Run): AsyncGenerator<RunEvent, string | null> {
  const { config, deps, state, method } = run;
  const { runId, clock, environment } = deps;
  const began = clock();

  const problems = problemsOfStep(run.training, config, state.step);
  let rollouts = await computed(run, () => collect(run, problems));
  const slow = checkRollouts(rollouts.groups.flat());
  if (slow !== null) {
    // the machine slept, or was blocked: the same tokens once more, now in time
    yield { kind: 'notice', runId, step: state.step, level: 'warning', code: 'rollouts-repeated', message: slow };
    rollouts = await computed(run, () => collect(run, problems));
  }
  const rolledOut = clock();

  const graded = await gradeGroups(environment, problems, rollouts.groups);
  const gradedAt = clock();

  const outcomes = problems.map(({ id: problemId }, p) => ({
    problemId,
    outcomes: graded[p].map(({ success, cost, sampledLogprobs }) => {
      return { success, cost, sampledTokens: sampledLogprobs.length };
    }),
  }));
  const scored = scoreGroups(outcomes, state.fewest, { ...config, ...state.facts });
  const result = method.advantages(
    { step: state.step, totalSteps: config.steps, weights: objectiveWeights(config), groups: scored.groups },
    state.method,
  );
  const groups: Group[] = problems.map((problem, p) => ({
    problem,
    trajectories: graded[p].map(
      (trajectory, g): ScoredTrajectory => ({
        ...trajectory,
        rewards: scored.groups[p].rewards[g],
        paretoRank: result.ranks?.[p][g] ?? 0,
        advantage: result.advantages[p][g],
      }),
    ),
  }));
  const broken = checkRollouts(groups.flatMap((group) => group.trajectories));
  if (broken !== null) return broken;

  const trainedFrom = clock();
  const learningRate = scheduledRate(config.train, state.step, config.steps);
  const update = await computed(run, () => updatePolicy(run, groups, learningRate));
  const trainedAt = clock();
  const metrics = stepMetrics(groups, update, rollouts.times, result.report, {
    learningRate,
    rolloutMs: rolledOut - began,
    gradeMs: gradedAt - rolledOut,
    trainMs: trainedAt - trainedFrom,
    stepMs: trainedAt - began,
  });
  const health = checkHealth(state, metrics);
  if (!wentThrough(update)) return health.stop;
  run.state = {
    ...state,
    ...health.state,
    step: state.step + 1,
    optimizerUpdates: run.trainer.optimizer.updates,
    fewest: scored.fewest,
    method: result.state,
  };
  const { step } = run.state;
  yield { kind: 'step', runId, step, groups, metrics };
  yield* tellProvider(run);
  for (const notice of health.notices) {
    yield { kind: 'notice', runId, step, level: 'warning', ...notice };
  }
  return health.stop;
}

/** The problems of a step: the training set in shuffled passes, a function of seed and step only. */
export function problemsOfStep(
  training: readonly Problem[],
  config: Pick<RunConfig, 'problemsPerStep' | 'seed'>,
  step: number,
): Problem[] {
  const { problemsPerStep: P, seed } = config;
  const passes = new Map<number, Problem[]>();
  return Array.from({ length: P }, (_, i) => {
    const at = step * P + i;
    const pass = Math.floor(at / training.length);
    const order = passes.get(pass) ?? randomStream(seed, 'pass', pass).shuffle(training);
    passes.set(pass, order);
    return order[at % training.length];
  });
}

async function collect(run: Run, problems: readonly Problem[]) {
  const { environment } = run.deps;
  const { groupSize } = run.config;
  // a small training set comes round more than once in a step
  const times = new Map<string, number>();
  const requests = problems.map((problem) => {
    const seen = times.get(problem.id) ?? 0;
    times.set(problem.id, seen + 1);
    return { problem, samples: groupSize, firstSample: seen * groupSize };
  });
  const settings = rolloutSettings(run, { seed: run.config.seed, step: run.state.step, sampling: 'sampled' });
  const rollouts = await collectTrajectories(
    requests,
    run.engine,
    environment.formatOf,
    environment.callTool,
    settings,
  );
  requireNumbers(rollouts.groups.flat());
  return rollouts;
}

function rolloutSettings(
  { config, state, deps, engine }: Run,
  own: Pick<RolloutSettings, 'seed' | 'step' | 'sampling'>,
): RolloutSettings {
  return {
    ...own,
    limits: { ...config.limits, tokens: engine.settings.maxTokens },
    batch: config.rolloutBatch,
    temperature: 1,
    prices: state.prices,
    weightsVersion: state.step,
    clock: deps.clock,
  };
}

/** Measures the start policy, fixes the run's facts by it, and saves it as checkpoint 0. */
async function* startRun(run: Run): AsyncGenerator<RunEvent> {
  const { config, deps } = run;
  const trajectories = await roll(run, run.selection, 'sampled');
  const lengths = trajectories.map(({ trajectory }) => trajectory.sampledLogprobs.length);
  const paid = trajectories.map(({ trajectory }) => ({ cost: trajectory.cost, calls: trajectory.toolCalls.length }));
  const prices = deps.environment.toolNames.map((name) => config.prices[name] ?? 1);
  const facts: RunFacts = {
    ...deps.machine,
    runtimeVersion,
    provider: providerOf(config.provider),
    modelHash: deps.agent.folder.weightsHash(),
    parameters: parameterCount(run.policy.base),
    referencePrice: measureReferencePrice(paid, prices),
    referenceLength: Math.max(1, lengths.reduce((sum, length) => sum + length, 0) / Math.max(1, lengths.length)),
    costLimit:
      config.costLimit > 0 ? config.costLimit : Math.max(1e-9, config.limits.calls * Math.max(...prices, 0)) || 1,
  };
  run.state = { ...run.state, facts };
  yield { kind: 'started', runId: deps.runId, config, facts };
  yield* proveProvider(run);
  if (deps.agent.bytesOnly) {
    const message =
      'The model has no tokenizer.json: it reads and writes bytes, with the markup of the starter agents.';
    yield { kind: 'notice', runId: deps.runId, step: 0, level: 'warning', code: 'no-tokenizer', message };
  }
  yield* evaluate(run, trajectories);
  yield* measure(run, run.report, 'report');
  yield* checkpoint(run);
}

/**
 * Measures the policy on the selection split (the frontier's points) and, if asked for, greedily. Answers with a reason where
 * the user's guard says that training must stop.
 */
async function* evaluate(run: Run, known?: EvaluatedTrajectory[]): AsyncGenerator<RunEvent, string | null> {
  const sampled = known ?? (await roll(run, run.selection, 'sampled'));
  const point = policyPoint(sampled, {
    step: run.state.step,
    split: 'selection',
    sampling: 'sampled',
    klToStart: await computed(run, () => klToStart(run, sampled)),
  });
  const diverged = checkPoint(point, run.state.frontier, run.config.guard);
  const { frontier, onFrontier, hypervolume } = withPoint(run.state.frontier, point, run.state.facts.costLimit);
  run.state = { ...run.state, frontier };
  yield { kind: 'evaluated', runId: run.deps.runId, point, hypervolume, onFrontier };
  yield* tellUngraded(run, sampled);
  if (run.config.evaluation.greedy) yield* measure(run, run.selection, 'selection', ['greedy']);
  return diverged;
}

/** Points beside the frontier: greedy ones, and the report split, which decides nothing. */
async function* measure(
  run: Run,
  problems: readonly Problem[],
  split: PolicyPoint['split'],
  samplings: readonly PolicyPoint['sampling'][] = run.config.evaluation.greedy ? ['sampled', 'greedy'] : ['sampled'],
): AsyncGenerator<RunEvent> {
  for (const sampling of samplings) {
    const evaluated = await roll(run, problems, sampling);
    const point = policyPoint(evaluated, {
      step: run.state.step,
      split,
      sampling,
      klToStart: null,
    });
    const { hypervolume } = withPoint([], point, run.state.facts.costLimit);
    yield { kind: 'evaluated', runId: run.deps.runId, point, hypervolume, onFrontier: false };
    yield* tellUngraded(run, evaluated);
  }
}

function* tellUngraded({ deps, state }: Run, evaluated: readonly EvaluatedTrajectory[]): Generator<RunEvent> {
  const message = ungradedNote(evaluated);
  if (message === null) return;
  yield { kind: 'notice', runId: deps.runId, step: state.step, level: 'warning', code: 'ungraded', message };
}

/** One trajectory a problem, with the same draws at every evaluation: differences between policies are paired. */
function roll(
  run: Run,
  problems: readonly Problem[],
  sampling: PolicyPoint['sampling'],
): Promise<EvaluatedTrajectory[]> {
  const seed = evaluationSeed(run.config.seed);
  return computed(run, () =>
    rollOut(run.deps.environment, run.engine, problems, rolloutSettings(run, { seed, step: 0, sampling })),
  );
}

/** KL(policy || start policy) in nats a token (k3) on at most 64 trajectories of the policy. */
async function klToStart(run: Run, evaluated: readonly EvaluatedTrajectory[]): Promise<number | null> {
  if (run.state.step === 0) return 0;
  const rows = evaluated
    .slice(0, 64)
    .map(({ trajectory }) => trainRow({ ...trajectory, rewards: [], paretoRank: 0, advantage: 1 }));
  const now = await run.trainer.score(rows);
  const then = await run.trainer.score(rows, run.start);
  let sum = 0;
  let count = 0;
  for (const [i, logprobs] of now.logprobs.entries()) {
    for (const [k, logprob] of logprobs.entries()) {
      const difference = then.logprobs[i][k] - logprob;
      sum += Math.exp(difference) - difference - 1;
      count++;
    }
  }
  // weights that give no numbers are the next step's matter
  return Number.isFinite(sum) ? sum / Math.max(1, count) : null;
}

/** Saves everything the run needs to go on; keeps the last few checkpoints and those of the frontier. */
async function* checkpoint(run: Run): AsyncGenerator<RunEvent> {
  const { config, deps, trainer, state } = run;
  const saved = saveTrained(deps.runFolder, trainer, state.step, state);
  const steps = listCheckpoints(deps.runFolder).map((record) => record.step);
  const keep = checkpointsToKeep(steps, state, config.checkpoint.keepLast);
  yield { kind: 'checkpoint', runId: deps.runId, checkpoint: saved, dropped: steps.filter((step) => !keep.has(step)) };
  // only after the database knows: a checkpoint that it counts on is never missing
  pruneCheckpoints(deps.runFolder, keep);
}

async function* changePrices(run: Run): AsyncGenerator<RunEvent> {
  const prices = run.deps.takePrices?.() ?? null;
  if (prices === null) return;
  // fewest costs were in old prices: they are found again, with the new ones
  run.state = { ...run.state, prices: { ...run.state.prices, ...prices }, fewest: emptyFewest() };
  yield { kind: 'prices', runId: run.deps.runId, step: run.state.step, prices: run.state.prices };
  // the last checkpoint has the old prices: a resume from there would train with others than the log says
  yield* checkpoint(run);
}

async function* endRun(run: Run, status: 'stopped' | 'failed', reason: string): AsyncGenerator<RunEvent, void> {
  yield* tellProvider(run);
  // half of a step's updates, or weights that are no numbers, are not saved: the last checkpoint stays the last good one
  const { optimizer } = run.trainer;
  const whole = optimizer.updates === run.state.optimizerUpdates && trainable(run.policy).flat.every(Number.isFinite);
  if (whole) yield* checkpoint(run);
  yield { kind: 'ended', runId: run.deps.runId, step: run.state.step, status, reason };
}

function openRun(config: RunConfig, deps: RunDependencies): Run {
  const { agent, environment, machine } = deps;
  const method = makeMethod(config);
  const lora = config.train.parameters === 'lora' ? config.train.lora : null;
  const policy = agent.newPolicy(lora, config.seed);
  const noFacts = { referencePrice: 1, referenceLength: 1, costLimit: 1 } as RunFacts;
  return {
    ...openComputing(config, policy, machine.threads),
    deps,
    start: copyPolicy(policy),
    method,
    training: environment.problems('train', config.trainProblems, config.seed),
    selection: environment.problems('selection', config.selectionProblems, 0),
    report: environment.problems('report', config.reportProblems, 0),
    state: firstState(noFacts, config.prices, method.initialState()),
  };
}

/** Weights, moments and memory of a checkpoint into a freshly opened run. */
function restore(run: Run, folder: string): void {
  run.state = restoreTrained<RunState>(run.trainer, folder);
}
