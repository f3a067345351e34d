/**
 * Fills a data folder with a long run of believable shape, through the store as a run would: what the benchmarks of the
 * window and of the store stand on. Made from a seed. Problems are those of the arithmetic task, conversations are encoded
 * with the starter agent's own format; how success and cost change with the steps is made up. No model computes here.
 */
import type {
  ChatMessage,
  Group,
  PolicyPoint,
  Problem,
  ScoredTrajectory,
  StepMetrics,
} from '../../src-main/contract/records.ts';
import { type RunConfig, runConfigSchema } from '../../src-main/contract/run-config.ts';
import type { RunEvent, RunFacts } from '../../src-main/contract/run-events.ts';
import { type Random, randomStream } from '../../src-main/engine/base/random.ts';
import { mean, wilsonInterval } from '../../src-main/engine/base/statistics.ts';
import { nonDominatedSort } from '../../src-main/engine/pareto/non-dominated-sort.ts';
import { openAgent } from '../../src-main/engine/run/agent.ts';
import { withPoint } from '../../src-main/engine/run/run-state.ts';
import { arithmeticTask } from '../../src-main/engine/tasks/arithmetic.ts';
import { makeCalculatorTool } from '../../src-main/engine/tools/calculator.ts';
import { openStore } from '../../src-main/store/open-store.ts';

export type FillOptions = {
  runId: string;
  trajectories: number;
  /** of the selection split, sampled: as many greedy ones come with them */
  points: number;
  problemsPerStep?: number;
  groupSize?: number;
  seed?: number;
  objectives?: RunConfig['objectives'];
};

/** [steps] how long the store took for each step of the run, milliseconds. */
export type Filled = { steps: number; appendMs: number[] };

const costLimit = 4;
const facts: RunFacts = {
  engineVersion: '0.1.0',
  runtimeVersion: '1.30.0',
  provider: 'cpu',
  threads: 2,
  cpu: 'made up',
  modelHash: 'ab'.repeat(32),
  parameters: 400_000,
  referencePrice: 1,
  referenceLength: 20,
  costLimit,
};

/** Appends one finished run. */
export function fillStore(dataFolder: string, options: FillOptions): Filled {
  const { runId, trajectories, points, problemsPerStep = 2, groupSize = 8, seed = 0, objectives } = options;
  const steps = Math.max(1, Math.round(trajectories / problemsPerStep / groupSize));
  const config = runConfigSchema.parse({
    model: 'starter:over-user',
    tasks: ['arithmetic-calculator'],
    steps,
    problemsPerStep,
    groupSize,
    seed,
    objectives,
    evaluation: { everySteps: Math.max(1, Math.floor(steps / points)) },
  });
  const maker = stepMaker(config);
  const store = openStore(dataFolder, { mode: 'write' });
  const appendMs: number[] = [];
  let frontier: PolicyPoint[] = [];
  const measure = (step: number) => {
    for (const sampling of ['sampled', 'greedy'] as const) {
      const point = madeUpPoint(config, step, sampling);
      const merged = withPoint(frontier, point, costLimit);
      if (sampling === 'sampled') frontier = merged.frontier;
      const onFrontier = sampling === 'sampled' && merged.onFrontier;
      store.append({ kind: 'evaluated', runId, point, hypervolume: merged.hypervolume, onFrontier });
    }
  };
  try {
    store.append({ kind: 'started', runId, config, facts });
    measure(0);
    let measured = 1;
    for (let step = 1; step <= steps; step++) {
      const event = maker(runId, step);
      const from = performance.now();
      store.append(event);
      appendMs.push(performance.now() - from);
      if (step % config.evaluation.everySteps === 0 && measured++ < points) measure(step);
      if (step % checkpointEvery(steps) === 0) store.append(checkpointEvent(runId, step, steps));
    }
    store.append({ kind: 'ended', runId, step: steps, status: 'finished', reason: '' });
  } finally {
    store.close();
  }
  return { steps, appendMs };
}

/** The steps of a run: equal configurations give equal events. */
export function stepMaker(config: RunConfig): (runId: string, step: number) => Extract<RunEvent, { kind: 'step' }> {
  const problems = arithmeticTask('calculator').problems('train', config.trainProblems, config.seed);
  const encode = conversations();
  return (runId, step) => {
    const groups = Array.from({ length: config.problemsPerStep }, (_, p): Group => {
      const problem = problems[(step * config.problemsPerStep + p) % problems.length];
      const random = randomStream(config.seed, 'group', step, p);
      return { problem, trajectories: madeUpGroup(problem, config, step, encode, random) };
    });
    return { kind: 'step', runId, step, groups, metrics: metricsOf(groups, step) };
  };
}

/** From the start (0) to the end of learning (1): fast at first, then slower. */
function learned(config: RunConfig, step: number): number {
  return 1 - Math.exp((-4 * step) / config.steps);
}

export function madeUpPoint(config: RunConfig, step: number, sampling: PolicyPoint['sampling']): PolicyPoint {
  const random = randomStream(config.seed, 'point', step, sampling);
  const n = config.selectionProblems;
  const done = learned(config, step);
  const right = Math.round(n * Math.min(1, 0.62 + 0.3 * done + 0.02 * random.normal()));
  const success = wilsonInterval(right, n);
  const cost = Math.max(0.2, 2.3 - 1.2 * done + 0.06 * random.normal());
  return {
    step,
    split: 'selection',
    sampling,
    n,
    success: right / n,
    successLow: success.low,
    successHigh: success.high,
    cost,
    costLow: cost - 0.1,
    costHigh: cost + 0.1,
    calls: cost,
    responseLength: 20 + 14 * cost,
    klToStart: sampling === 'sampled' ? 0.3 * done : null,
    breakdown: {
      'task:arithmetic-calculator': { n, success: right / n, cost, calls: { calculator: cost } },
      'tag:sum2': { n: n >> 1, success: right / n, cost },
      'tag:two': { n: n >> 1, success: right / n, cost },
    },
  };
}

type Encoded = Pick<ScoredTrajectory, 'tokens' | 'segments'> & { sampled: number };

/** Encodes a conversation once: in a long run the same problem is answered the same way again and again. */
function conversations(): (problem: Problem, calls: number, answer: string) => Encoded {
  const format = openAgent('starter:over-user').chatFormat([makeCalculatorTool()]);
  const known = new Map<string, Encoded>();
  return (problem, calls, answer) => {
    const key = `${problem.id} ${calls} ${answer}`;
    let encoded = known.get(key);
    if (encoded === undefined) {
      const messages: ChatMessage[] = [...problem.messages];
      for (let i = 0; i < calls; i++) {
        const call = { name: 'calculator', arguments: { expression: problem.id } };
        messages.push({ role: 'assistant', content: '', toolCalls: [call] });
        messages.push({ role: 'tool', name: 'calculator', content: problem.answers[0] });
      }
      const { tokens, mask } = format.encodeDemonstration([...messages, { role: 'assistant', content: answer }]);
      encoded = { tokens, segments: segmentsOf(mask), sampled: mask.reduce((sum, one) => sum + one, 0) };
      known.set(key, encoded);
    }
    return encoded;
  };
}

function segmentsOf(mask: readonly number[]): ScoredTrajectory['segments'] {
  const segments: ScoredTrajectory['segments'] = [];
  for (const [i, one] of mask.entries()) {
    const last = segments.at(-1);
    const kind = one === 1 ? 'model' : segments.some((segment) => segment.kind === 'model') ? 'tool' : 'prompt';
    if (last?.kind === kind) last.end = i + 1;
    else segments.push({ kind, start: i, end: i + 1 });
  }
  return segments;
}

function madeUpGroup(
  problem: Problem,
  config: RunConfig,
  step: number,
  encode: ReturnType<typeof conversations>,
  random: Random,
): ScoredTrajectory[] {
  const done = learned(config, step);
  const outcomes = Array.from({ length: config.groupSize }, () => {
    const broken = random.next() < 0.002;
    const right = random.next() < 0.62 + 0.3 * done;
    const calls = random.weighted([0.1 + 0.2 * done, 0.25 + 0.3 * done, 0.4 - 0.3 * done, 0.25 - 0.2 * done]);
    return { success: broken ? null : right, calls, rewards: [right ? 1 : 0, Math.exp(-0.5 * Math.max(0, calls - 1))] };
  });
  const ranks = nonDominatedSort(outcomes.map(({ rewards }) => rewards));
  const average = mean(ranks);
  return outcomes.map(({ success, calls, rewards }, sample) => {
    const answer = success ? problem.answers[0] : String(Number(problem.answers[0]) + 1 + (sample % 3));
    const { tokens, segments, sampled } = encode(problem, calls, answer);
    const results = segments.filter(({ kind }) => kind === 'tool');
    return {
      problemId: problem.id,
      sample,
      tokens,
      segments,
      sampledLogprobs: Array.from({ length: sampled }, () => Math.fround(Math.log(1 - 0.5 * random.next() ** 4))),
      toolCalls: Array.from({ length: calls }, (_, i) => ({
        name: 'calculator',
        arguments: { expression: problem.id },
        output: problem.answers[0],
        status: success === null ? ('error' as const) : ('ok' as const),
        price: 1,
        milliseconds: 0.2 + random.next(),
        resultStart: results[i]?.start ?? -1,
      })),
      stopReason: success === null ? 'tool-broken' : 'answer',
      answer,
      weightsVersion: step - 1,
      success,
      cost: calls,
      rewards,
      paretoRank: ranks[sample],
      advantage: average - ranks[sample],
    };
  });
}

function metricsOf(groups: readonly Group[], step: number): StepMetrics {
  const all = groups.flatMap(({ trajectories }) => trajectories);
  const share = (pick: (one: ScoredTrajectory) => boolean) => all.filter(pick).length / all.length;
  const groupShare = (pick: (group: Group) => boolean) => groups.filter(pick).length / groups.length;
  const right = (group: Group) => group.trajectories.every(({ success }) => success === true);
  const wrong = (group: Group) => group.trajectories.every(({ success }) => success !== true);
  const cost = mean(all.map((one) => one.cost));
  const sampledTokens = all.reduce((sum, one) => sum + one.sampledLogprobs.length, 0);
  return {
    loss: 1 / Math.sqrt(step),
    gradNorm: 0.5 + 0.1 * Math.sin(step),
    learningRate: 2e-4,
    entropy: 0.2 + 0.3 / Math.sqrt(step),
    samplerGap: 1e-6,
    kl: null,
    clipFraction: 0.01,
    success: share(({ success }) => success === true),
    cost,
    calls: cost,
    sampledTokens,
    responseLength: sampledTokens / all.length,
    groupsMixed: groupShare((group) => !right(group) && !wrong(group)),
    groupsAllRight: groupShare(right),
    groupsAllWrong: groupShare(wrong),
    groupsWithoutSpread: groupShare(({ trajectories }) => trajectories.every(({ advantage }) => advantage === 0)),
    ungraded: share(({ success }) => success === null),
    toolFailureShare: 0.002,
    method: { stage: 2, rPareto: 0.5 },
    rolloutMs: 300,
    toolMs: 17,
    gradeMs: 1.5,
    trainMs: 210,
    logMs: 5,
    stepMs: 540,
  };
}

/** Not more than a hundred: each waits for the disk. */
function checkpointEvery(steps: number): number {
  return Math.max(10, Math.ceil(steps / 100));
}

function checkpointEvent(runId: string, step: number, steps: number): Extract<RunEvent, { kind: 'checkpoint' }> {
  const every = checkpointEvery(steps);
  const hex = step.toString(16).padStart(64, '0');
  const checkpoint = {
    step,
    folder: `checkpoints/step-${step}`,
    manifestHash: hex,
    weightsHash: hex,
    bytes: 6_000_000,
  };
  return { kind: 'checkpoint', runId, checkpoint, dropped: step > 2 * every ? [step - 2 * every] : [] };
}

/** What an engine tells of a run that goes on after `steps`: the n-th event, every twentieth a measured point. */
export function nextEvents(runId: string, steps: number): (n: number) => RunEvent {
  const config = runConfigSchema.parse({
    model: 'starter:over-user',
    tasks: ['arithmetic-calculator'],
    steps: 2 * steps,
  });
  const make = stepMaker({ ...config, problemsPerStep: 1, groupSize: 4 });
  let step = steps;
  return (n) => {
    if (n % 20 === 19) {
      const point = madeUpPoint(config, step, 'sampled');
      return {
        kind: 'evaluated',
        runId,
        point,
        hypervolume: point.success * (1 - point.cost / costLimit),
        onFrontier: false,
      };
    }
    step++;
    return { ...make(runId, step), groups: [] };
  };
}
