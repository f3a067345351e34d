/**
 * Whether a provider computes what the CPU computes, on the user's own model: logits, log-probabilities, gradients of the
 * training loss, the weights after one optimizer step, and greedy continuations through the cache. Its answer decides
 * whether a run may use the provider, and is kept with the run.
 *
 * The probes are random tokens of a fixed seed: numbers only, no text. It does not measure quality.
 */
import { ParetuneError } from '../../contract/errors.ts';
import type { ProviderName } from '../../contract/providers.ts';
import { describeFallbacks } from '../runtime/capabilities.ts';
import type { OnFallback } from '../runtime/session.ts';
import { randomStream } from '../base/random.ts';
import { DeviceMemory } from '../runtime/device-memory.ts';
import { DecodeEngine, usualChunk } from '../rollout/decode-engine.ts';
import { makeParameters } from '../runtime/parameters.ts';
import { type Policy, trainable } from '../runtime/policy.ts';
import { norm2 } from '../train/adamw.ts';
import type { TrainRow } from '../train/pack-batch.ts';
import { Trainer, type TrainerSettings } from '../train/trainer.ts';
import { sequenceLogits } from './sequence-logits.ts';

/** One comparison with the CPU: `difference` in the unit that `measure` names, passed when at most `tolerance`. */
export type NumericsCheck = { name: string; difference: number; tolerance: number; measure: string };

export type NumericsReport = {
  provider: ProviderName;
  ok: boolean;
  checks: NumericsCheck[];
  /** one line a graph of which the provider leaves nodes to the CPU */
  fallbacks: string[];
};

/** Allowed differences of float32 kernels: another order of additions, nothing more. */
const tolerances = { logits: 1e-4, logprobs: 2e-4, loss: 1e-5, gradient: 1e-3, step: 1e-2, greedy: 0 } as const;

const ROWS = 4;
const PROMPT = 12;
/** of a family: what its rows have in common, and what each has of its own */
const SHARED = 18;
const OWN = 6;
/** greedy tokens after each row */
export const CONTINUED = 8;

/** Learning rate of the one step; only the change that it makes is compared. */
export const RATE = 1e-3;

/** Compares a provider with the CPU on a policy, which is left as it was. */
export async function numericsReport(policy: Policy, provider: ProviderName, threads: number): Promise<NumericsReport> {
  const expected = await numbersOf(policy, 'cpu', threads);
  const fallbacks: string[] = [];
  const found = await numbersOf(policy, provider, threads, (graph, nodes) =>
    fallbacks.push(describeFallbacks(provider, graph, nodes)),
  );
  const checks = compareNumbers(found, expected);
  return { provider, ok: agrees(checks), checks, fallbacks };
}

export function agrees(checks: readonly NumericsCheck[]): boolean {
  return checks.every(({ difference, tolerance }) => difference <= tolerance);
}

/** What is computed of one policy in two ways, held against one another. */
export function compareNumbers(found: Numbers, expected: Numbers): NumericsCheck[] {
  const largestLogit = expected.logits.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  return [
    {
      name: 'logits',
      difference: largestDifference(found.logits, expected.logits) / largestLogit,
      tolerance: tolerances.logits,
      measure: 'share of the largest',
    },
    {
      name: 'log-probabilities',
      difference: largestDifference(found.logprobs, expected.logprobs),
      tolerance: tolerances.logprobs,
      measure: 'largest difference, nats',
    },
    {
      name: 'loss',
      difference: relativeDifference([found.loss], [expected.loss]),
      tolerance: tolerances.loss,
      measure: 'share of the loss',
    },
    {
      name: 'gradient',
      difference: relativeDifference(found.gradient, expected.gradient),
      tolerance: tolerances.gradient,
      measure: "share of the gradient's norm",
    },
    {
      // Adam divides noise by noise where a gradient is nearly 0, so the change is compared as a whole
      name: 'optimizer step',
      difference: relativeDifference(found.change, expected.change),
      tolerance: tolerances.step,
      measure: "share of the change's norm",
    },
    {
      name: 'greedy continuation',
      difference: found.tokens.filter((token, i) => token !== expected.tokens[i]).length,
      tolerance: tolerances.greedy,
      measure: `tokens of ${expected.tokens.length}`,
    },
  ];
}

/** One line on a report, as notices and the doctor show it. */
export function describeReport({ provider, checks, fallbacks }: NumericsReport): string {
  return [describeChecks(provider, checks), ...precisionOf(provider), ...fallbacks].join(' ');
}

/** What ONNX Runtime does to float32 on CUDA unless the driver's own variable forbids it; Node has no option for it. */
function precisionOf(provider: ProviderName): string[] {
  if (provider !== 'cuda') return [];
  if (process.env.NVIDIA_TF32_OVERRIDE === '0') return ['Products are whole float32 (NVIDIA_TF32_OVERRIDE is 0).'];
  return ['Products are TF32, of 10 bits, where the GPU has it; NVIDIA_TF32_OVERRIDE=0 makes them whole float32.'];
}

/** One line on who was compared with the CPU. */
export function describeChecks(who: string, checks: readonly NumericsCheck[]): string {
  const parts = checks.map(({ name, difference, tolerance, measure }) => {
    const shown = difference === 0 ? '0' : difference.toPrecision(2);
    return `${name} ${shown} (${measure}; allowed ${tolerance})`;
  });
  return `${who} ${agrees(checks) ? 'agrees' : 'does not agree'} with the CPU on this model: ${parts.join(', ')}.`;
}

/** Throws `unsupported` where the provider's numbers are not the CPU's. */
export function requireAgreement(report: NumericsReport): void {
  if (report.ok) return;
  throw new ParetuneError('unsupported', describeReport(report), {
    hint: [
      ...(report.provider === 'cuda' ? ['Set NVIDIA_TF32_OVERRIDE=0 and begin again.'] : []),
      'Use `--provider cpu`. A newer graphics driver may help; `paretune doctor` repeats the comparison.',
    ].join(' '),
  });
}

export type Numbers = {
  /** of the first probe's tokens */
  logits: Float32Array;
  /** of all trained tokens, row by row, those of the family last, nats */
  logprobs: number[];
  /** of the rows alone and of the family, added up */
  loss: number;
  /** the same of what is trained, flat, before it is clipped */
  gradient: Float32Array;
  /** what one step of the optimizer adds to it */
  change: Float32Array;
  /** greedy continuations, row by row */
  tokens: number[];
};

/** What a provider computes of a policy. */
export async function numbersOf(
  policy: Policy,
  provider: ProviderName,
  threads: number,
  onFallback?: OnFallback,
): Promise<Numbers> {
  const trained = withOwnTrainable(policy);
  const maxTokens = Math.min(Math.max(PROMPT + CONTINUED, SHARED + OWN), policy.config.maxPositions);
  // what training leaves alone is on the GPU once
  const memory = provider === 'webgpu' ? new DeviceMemory() : undefined;
  const settings: TrainerSettings = {
    ...{ objective: 'supervised', aggregation: 'batch-token', maxGradNorm: 1, microBatchTokens: 4096 },
    ...{ beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, maxTokens, threads, provider, onFallback, memory },
  };
  const rows = probesOf(policy);
  const family = familyOf(policy);
  const trainer = new Trainer(trained, settings);
  const chunk = usualChunk(provider);
  const engine = new DecodeEngine(policy, { threads, maxTokens, provider, chunk, onFallback, memory });
  try {
    const alone = await trainer.gradient(rows);
    const gradient = Float32Array.from(alone.gradient);
    // rows with one beginning go through a graph of their own
    const together = await trainer.gradient(family);
    for (let i = 0; i < gradient.length; i++) gradient[i] += together.gradient[i];
    const before = Float32Array.from(trainable(trained).flat);
    await trainer.update(rows, RATE);
    const [logits] = await sequenceLogits(policy, [rows[0].tokens], { threads, provider, onFallback, memory });
    return {
      logits,
      logprobs: [...alone.metrics.logprobs, ...together.metrics.logprobs].flatMap((row) => [...row]),
      loss: alone.metrics.loss + together.metrics.loss,
      gradient,
      change: trainable(trained).flat.map((value, i) => value - before[i]),
      tokens: await continuation(engine, rows, maxTokens),
    };
  } finally {
    await engine.dispose();
    await trainer.dispose();
    await memory?.dispose();
  }
}

/** A policy whose trainable weights are a copy; a frozen base is shared. */
function withOwnTrainable(policy: Policy): Policy {
  const { specs, flat } = trainable(policy);
  const own = makeParameters(specs, Float32Array.from(flat));
  return policy.lora === null ? { ...policy, base: own } : { ...policy, lora: { ...policy.lora, parameters: own } };
}

/** Rows of random tokens and different lengths. */
export function probesOf({ config }: Policy): TrainRow[] {
  const longest = Math.min(PROMPT, config.maxPositions - 1);
  const random = randomStream(0, 'numerics gate');
  return Array.from({ length: ROWS }, (_, row) => {
    const length = Math.max(2, longest - 2 * row);
    const tokens = Array.from({ length }, () => Math.floor(random.next() * config.vocabSize));
    return { tokens, trained: Array.from({ length: length - 1 }, (_, t) => t + 1), advantage: 1 };
  });
}

/** Rows that begin alike and are trained on after that. */
export function familyOf({ config }: Policy): TrainRow[] {
  const random = randomStream(1, 'numerics gate');
  const tokensOf = (count: number) => Array.from({ length: count }, () => Math.floor(random.next() * config.vocabSize));
  const length = Math.min(SHARED + OWN, config.maxPositions);
  const common = Math.max(1, length - OWN);
  const beginning = tokensOf(common);
  const trained = Array.from({ length: length - common }, (_, t) => common + t);
  return Array.from({ length: ROWS }, () => ({
    tokens: [...beginning, ...tokensOf(length - common)],
    trained,
    advantage: 1,
  }));
}

/** Greedy tokens of each row, one row after the other: the first after the prompt, the others as the provider decodes in a run. */
export async function continuation(
  engine: DecodeEngine,
  rows: readonly TrainRow[],
  maxTokens: number,
): Promise<number[]> {
  const cache = engine.newCache(rows.length);
  const count = Math.min(CONTINUED, maxTokens - rows[0].tokens.length);
  const step = { uniforms: rows.map(() => [0.5]), sampling: 'greedy', temperature: 1 } as const;
  const found: number[][] = rows.map(() => []);
  const run = async (tokens: readonly (readonly number[])[]): Promise<void> => {
    const drawn = await engine.run({ ...step, tokens }, cache);
    for (const [row, added] of drawn.tokens.entries()) found[row].push(...added);
  };
  await run(rows.map(({ tokens }) => tokens));
  const last = () => found.map((tokens) => [tokens.at(-1)!]);
  if (engine.chunk === 1) for (let more = 1; more < count; more++) await run(last());
  else {
    const budgets = rows.map(() => count - 1);
    const result = await engine.runChunk(
      { ...step, queues: last(), budgets, stops: rows.map(() => []), uniform: () => 0.5 },
      cache,
    );
    for (const [row, tokens] of result.tokens.entries()) found[row].push(...tokens);
  }
  return found.flat();
}

/** NaN counts as infinitely far. */
function largestDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(found[i] - expected[i]);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return largest;
}

function relativeDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  const off = norm2(Float32Array.from(expected, (value, i) => found[i] - value));
  const share = off === 0 ? 0 : off / norm2(Float32Array.from(expected));
  return Number.isNaN(share) ? Number.POSITIVE_INFINITY : share;
}
