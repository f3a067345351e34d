/** Runs, steps and trajectories for the tests of the store: made from a seed, shaped like the starter agent's. */
import fc from 'fast-check';
import type {
  Group,
  Json,
  PolicyPoint,
  Problem,
  ScoredTrajectory,
  StepMetrics,
  ToolCallRecord,
} from '../../src-main/contract/records.ts';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';
import type { RunEvent, RunFacts } from '../../src-main/contract/run-events.ts';
import { randomStream } from '../../src-main/engine/base/random.ts';

export const facts: RunFacts = {
  engineVersion: '0.1.0',
  runtimeVersion: '1.30.0',
  provider: 'cpu',
  threads: 2,
  cpu: 'a processor',
  modelHash: 'ab'.repeat(32),
  parameters: 300_000,
  referencePrice: 1,
  referenceLength: 20,
  costLimit: 4,
};

export function started(runId: string): Extract<RunEvent, { kind: 'started' }> {
  const config = runConfigSchema.parse({ model: 'starter:over-user', tasks: ['arithmetic'], steps: 60 });
  return { kind: 'started', runId, config, facts };
}

export function metrics(step: number): StepMetrics {
  // biome-ignore format: a row of numbers
  return {
    loss: 1 / step, gradNorm: 0.5, learningRate: 2e-4, entropy: 1.5, samplerGap: 1e-6, kl: null, clipFraction: 0,
    success: 0.7, cost: 1.25, calls: 1.25, sampledTokens: 9000, responseLength: 35, groupsMixed: 0.5, groupsAllRight: 0.3,
    groupsAllWrong: 0.2, groupsWithoutSpread: 0.4, ungraded: 0, toolFailureShare: 0.01, method: { stage: 1, rPareto: 0.5 },
    rolloutMs: 400, toolMs: 50, gradeMs: 5, trainMs: 300, logMs: 5, stepMs: 760,
  };
}

export function problem(number: number): Problem {
  return {
    id: `arithmetic/train/${number}`,
    task: 'arithmetic',
    split: 'train',
    messages: [
      { role: 'system', content: 'Answer. You may call calculator.' },
      { role: 'user', content: `What is ${number} + ${number * 7}?` },
    ],
    tools: ['calculator'],
    answers: [String(number * 8)],
    grader: { kind: 'math' },
    tags: ['add'],
    unseen: true,
  };
}

/** A trajectory of `length` tokens; equal arguments give equal trajectories. */
export function sampleTrajectory(seed: number, of: Problem, sample: number, length = 60): ScoredTrajectory {
  const random = randomStream(seed, of.id, sample);
  const calls = random.int(0, 3);
  const prompt = 20;
  const toolCalls: ToolCallRecord[] = Array.from({ length: calls }, (_, i) => ({
    name: 'calculator',
    arguments: { expression: `${random.int(1, 99)} + ${random.int(1, 99)}` },
    output: String(random.int(2, 198)),
    status: 'ok',
    price: 1,
    milliseconds: random.next() * 5,
    resultStart: prompt + 5 + i * 5,
  }));
  const success = random.next() < 0.7;
  return {
    problemId: of.id,
    sample,
    tokens: Array.from({ length }, () => random.int(0, 300)),
    segments: [
      { kind: 'prompt', start: 0, end: prompt },
      { kind: 'model', start: prompt, end: prompt + 20 },
      { kind: 'tool', start: prompt + 20, end: prompt + 22 },
      { kind: 'model', start: prompt + 22, end: length },
    ],
    sampledLogprobs: Array.from({ length: length - prompt - 2 }, () => Math.fround(Math.log(random.next()))),
    toolCalls,
    stopReason: 'answer',
    answer: `The answer is ${of.answers[0]}.`,
    weightsVersion: 3,
    success,
    cost: calls,
    rewards: [success ? 1 : 0, random.next()],
    paretoRank: random.int(1, 4),
    advantage: random.normal(),
  };
}

/** A step of `problems` groups of `groupSize`. */
export function stepEvent(
  runId: string,
  step: number,
  problems = 4,
  groupSize = 4,
): Extract<RunEvent, { kind: 'step' }> {
  const groups: Group[] = Array.from({ length: problems }, (_, p) => {
    const one = problem((step * 31 + p) % 512);
    return {
      problem: one,
      trajectories: Array.from({ length: groupSize }, (_, g) => sampleTrajectory(step, one, g)),
    };
  });
  return { kind: 'step', runId, step, groups, metrics: metrics(step) };
}

export function evaluated(
  runId: string,
  step: number,
  success: number,
  cost: number,
  more: Partial<PolicyPoint> = {},
): Extract<RunEvent, { kind: 'evaluated' }> {
  // biome-ignore format: a row of numbers
  const point: PolicyPoint = {
    step, split: 'selection', sampling: 'sampled', n: 256, success, successLow: success - 0.05, successHigh: success + 0.05,
    cost, costLow: cost - 0.1, costHigh: cost + 0.1, calls: cost, responseLength: 33, klToStart: 0.01,
    breakdown: { add: { n: 256, success, cost } }, ...more,
  };
  return { kind: 'evaluated', runId, point, hypervolume: success * (1 - cost / 4), onFrontier: true };
}

export function checkpointEvent(
  runId: string,
  step: number,
  dropped: number[] = [],
): Extract<RunEvent, { kind: 'checkpoint' }> {
  const hex = step.toString(16).padStart(64, '0');
  const folder = `checkpoints/step-${step}`;
  return {
    kind: 'checkpoint',
    runId,
    checkpoint: { step, folder, manifestHash: hex, weightsHash: hex, bytes: 1000 },
    dropped,
  };
}

// What follows is for property tests: anything that the types of contract/records.ts admit, odd strings and numbers included.

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '\0', '\ud83d', 'a\udc00b', 'é 漢字 😀', '\'";--'),
);
const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, -0, 1e-320));
const float = fc.oneof(fc.float(), fc.double(), fc.constantFrom(-0, Number.NEGATIVE_INFINITY));
/** Plain objects, as JSON and the engine make them. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}
const price = fc.double({ min: 0, noNaN: true, noDefaultInfinity: true });
const args = fc.dictionary(
  text.filter((key) => key !== '__proto__'),
  fc.jsonValue({ depthSize: 'small' }) as fc.Arbitrary<Json>,
  { maxKeys: 3, noNullPrototype: true },
);

const anyProblem: fc.Arbitrary<Problem> = record({
  id: text,
  task: text,
  split: fc.constantFrom('train', 'selection', 'report'),
  messages: fc.array(
    fc.record(
      {
        role: fc.constantFrom('system', 'user', 'assistant', 'tool'),
        content: text,
        toolCalls: fc.array(record({ name: text, arguments: args }), { maxLength: 2 }),
        name: text,
      },
      { requiredKeys: ['role', 'content'], noNullPrototype: true },
    ),
    { maxLength: 3 },
  ),
  tools: fc.array(text, { maxLength: 2 }),
  answers: fc.array(text, { maxLength: 2 }),
  grader: fc.oneof(
    fc.constantFrom<Problem['grader']>(
      { kind: 'exact' },
      { kind: 'math' },
      { kind: 'regex', pattern: 'x', flags: 'i' },
    ),
    record({ kind: fc.constant('regex' as const), pattern: text }),
    record({ kind: fc.constant('json' as const), fields: fc.array(text, { maxLength: 2 }) }),
    record({ kind: fc.constant('python' as const), code: text }),
  ),
  tags: fc.array(text, { maxLength: 2 }),
  unseen: fc.boolean(),
});

const anyTrajectory: fc.Arbitrary<ScoredTrajectory> = record({
  problemId: text,
  sample: fc.nat(300),
  tokens: fc.array(fc.oneof(fc.nat(200), fc.nat(2 ** 31 - 1)), { maxLength: 40 }),
  segments: fc.array(
    record({ kind: fc.constantFrom('prompt', 'model', 'tool'), start: fc.nat(200_000), end: fc.nat(200_000) }),
    { maxLength: 4 },
  ),
  sampledLogprobs: fc.oneof(fc.array(float, { maxLength: 20 }), fc.array(fc.float(), { maxLength: 20 })),
  toolCalls: fc.array(
    record({
      name: text,
      arguments: args,
      output: text,
      status: fc.constantFrom('ok', 'error', 'timeout', 'memory', 'output', 'unknown-tool', 'bad-arguments', 'limit'),
      price,
      milliseconds: price,
      resultStart: fc.integer({ min: -1, max: 1000 }),
    }),
    { maxLength: 3 },
  ),
  stopReason: fc.constantFrom(
    'answer',
    'call-limit',
    'turn-limit',
    'token-limit',
    'time-limit',
    'malformed-call',
    'tool-broken',
  ),
  answer: text,
  weightsVersion: fc.nat(),
  success: fc.constantFrom(true, false, null),
  cost: price,
  rewards: fc.array(number, { minLength: 1, maxLength: 4 }),
  paretoRank: fc.nat(20),
  advantage: number,
});

/** Groups of any content, as many as 0, with any number of trajectories. */
export const anyGroups: fc.Arbitrary<Group[]> = fc.array(
  fc.tuple(anyProblem, fc.array(anyTrajectory, { maxLength: 3 })).map(([one, trajectories]) => ({
    problem: one,
    trajectories: trajectories.map((trajectory) => ({ ...trajectory, problemId: one.id })),
  })),
  { maxLength: 4 },
);

/** Metrics of any numbers, NaN and infinities included. */
export const anyMetrics: fc.Arbitrary<StepMetrics> = fc
  .tuple(fc.array(fc.oneof(fc.double(), fc.constant(-0)), { minLength: 23, maxLength: 23 }), fc.option(number))
  .map(([values, kl]) => {
    const keys = Object.keys(metrics(1)).filter((key) => key !== 'method' && key !== 'kl');
    const numbers = Object.fromEntries(keys.map((key, i) => [key, values[i]])) as Omit<StepMetrics, 'method' | 'kl'>;
    return { ...numbers, kl, method: { best: values[0], 'fewest calls': values[1] } };
  });
