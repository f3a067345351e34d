/**
 * Whether a provider computes what the CPU computes, on the user's own model: logits' log-probabilities, gradients of the
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
import { DecodeEngine, usualChunk } from '../rollout/decode-engine.ts';
import { makeParameters } from '../runtime/parameters.ts';
import { type Policy, trainable } from '../runtime/policy.ts';
import { norm2 } from '../train/adamw.ts';
import type { TrainRow } from '../train/pack-batch.ts';
import { Trainer, type TrainerSettings } from '../train/trainer.ts';

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
const tolerances = { logprobs: 2e-4, loss: 1e-5, gradient: 1e-3, step: 1e-2, greedy: 0 } as const;

const ROWS = 4;
const PROMPT = 12;
const CONTINUED = 8;

/** Learning rate of the one step; only the change that it makes is compared. */
const RATE = 1e-3;

/** Compares a provider with the CPU on a policy, which is left as it was. */
export async function numericsReport(policy: Policy, provider: ProviderName, threads: number): Promise<NumericsReport> {
  const expected = await numbersOf(policy, 'cpu', threads);
  const fallbacks: string[] = [];
  const found = await numbersOf(policy, provider, threads, (graph, nodes) =>
    fallbacks.push(describeFallbacks(provider, graph, nodes)),
  );
  const checks: NumericsCheck[] = [
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
  return { provider, ok: checks.every(({ difference, tolerance }) => difference <= tolerance), checks, fallbacks };
}

/** One line on a report, as notices and the doctor show it. */
export function describeReport({ provider, ok, checks, fallbacks }: NumericsReport): string {
  const parts = checks.map(({ name, difference, tolerance, measure }) => {
    const shown = difference === 0 ? '0' : difference.toPrecision(2);
    return `${name} ${shown} (${measure}; allowed ${tolerance})`;
  });
  return [
    `${provider} ${ok ? 'agrees' : 'does not agree'} with the CPU on this model: ${parts.join(', ')}.`,
    ...fallbacks,
  ].join(' ');
}

/** Throws `unsupported` where the provider's numbers are not the CPU's. */
export function requireAgreement(report: NumericsReport): void {
  if (report.ok) return;
  throw new ParetuneError('unsupported', describeReport(report), {
    hint: 'Use `--provider cpu`. A newer graphics driver may help; `paretune doctor` repeats the comparison.',
  });
}

type Numbers = { logprobs: number[]; loss: number; gradient: Float32Array; change: Float32Array; tokens: number[] };

async function numbersOf(
  policy: Policy,
  provider: ProviderName,
  threads: number,
  onFallback?: OnFallback,
): Promise<Numbers> {
  const trained = withOwnTrainable(policy);
  const maxTokens = Math.min(PROMPT + CONTINUED, policy.config.maxPositions);
  const settings: TrainerSettings = {
    ...{ objective: 'supervised', aggregation: 'batch-token', maxGradNorm: 1, microBatchTokens: 4096 },
    ...{ beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, maxTokens, threads, provider, onFallback },
  };
  const rows = probeRows(policy.config.vocabSize, Math.min(PROMPT, maxTokens - 1));
  const trainer = new Trainer(trained, settings);
  const engine = new DecodeEngine(policy, { threads, maxTokens, provider, chunk: usualChunk(provider), onFallback });
  try {
    const { gradient, metrics } = await trainer.gradient(rows);
    const copy = Float32Array.from(gradient);
    const before = Float32Array.from(trainable(trained).flat);
    await trainer.update(rows, RATE);
    return {
      logprobs: metrics.logprobs.flatMap((row) => [...row]),
      loss: metrics.loss,
      gradient: copy,
      change: trainable(trained).flat.map((value, i) => value - before[i]),
      tokens: await continuation(engine, rows, maxTokens),
    };
  } finally {
    await engine.dispose();
    await trainer.dispose();
  }
}

/** A policy whose trainable weights are a copy; a frozen base is shared. */
function withOwnTrainable(policy: Policy): Policy {
  const { specs, flat } = trainable(policy);
  const own = makeParameters(specs, Float32Array.from(flat));
  return policy.lora === null ? { ...policy, base: own } : { ...policy, lora: { ...policy.lora, parameters: own } };
}

/** Rows of random tokens and different lengths. */
function probeRows(vocabulary: number, longest: number): TrainRow[] {
  const random = randomStream(0, 'numerics gate');
  return Array.from({ length: ROWS }, (_, row) => {
    const length = Math.max(2, longest - 2 * row);
    const tokens = Array.from({ length }, () => Math.floor(random.next() * vocabulary));
    return { tokens, trained: Array.from({ length: length - 1 }, (_, t) => t + 1), advantage: 1 };
  });
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
    const result = await engine.run({ ...step, tokens }, cache);
    for (const [row, added] of tokens.entries()) {
      result.keep(cache, row, row, added.length);
      found[row].push(...result.tokens[row]);
    }
  };
  await run(rows.map(({ tokens }) => tokens));
  const last = () => found.map((tokens) => [tokens.at(-1)!]);
  if (engine.chunk === 1) for (let more = 1; more < count; more++) await run(last());
  else {
    const budgets = rows.map(() => count - 1);
    cache.reserve(rows[0].tokens.length + count);
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
