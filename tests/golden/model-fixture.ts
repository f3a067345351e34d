/**
 * One folder below models/ of the golden set: what is in golden.json and its .safetensors files, and how numbers are
 * compared with them. Only tests import this.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import type { ProviderName } from '../../src-main/contract/providers.ts';
import { fillParameters } from '../../src-main/engine/runtime/parameters.ts';
import { decoderOptions, type Policy, policyFeeds } from '../../src-main/engine/runtime/policy.ts';
import { createSession } from '../../src-main/engine/runtime/session.ts';
import { loraSpecs } from '../../src-main/engine/model/lora.ts';
import { buildSequenceGraph } from '../../src-main/engine/model/sequence-graph.ts';
import { DecodeEngine } from '../../src-main/engine/rollout/decode-engine.ts';
import { packBatch, type TrainRow } from '../../src-main/engine/train/pack-batch.ts';
import type { Adapter } from '../../src-main/engine/weights/adapter.ts';
import { openSafetensors, readFloatTensor } from '../../src-main/engine/weights/safetensors.ts';
import { goldenMissing, goldenPath } from './fixtures.ts';

export type Golden = {
  batch: { input_ids: number[][]; lengths: number[]; prompt_lengths: number[] };
  long: { input_ids: number[]; positions: number[]; argmax: number[] };
  greedy: { prompt: number[]; tokens: number[] }[];
  completions: {
    row: number;
    start: number;
    end: number;
    logp_t1: number[];
    entropy_t1: number[];
    'logp_t0.7': number[];
    'entropy_t0.7': number[];
  }[];
  loss: { loss_mask: number[][]; n_tokens: number; mean_ce: number; grad_norm: number };
  lora?: {
    r: number;
    alpha: number;
    optimizer: {
      lr: number;
      beta1: number;
      beta2: number;
      eps: number;
      weight_decay: number;
      max_grad_norm: number;
    };
    loss_before_step_1_2_3_and_after_3: number[];
    grad_norm_step_1_2_3: number[];
  };
  /** how far the reference's float32 numbers are from a float64 run */
  float64_check: { trained_merged_logits: number };
};

/** Names of the folders below models/. */
export function goldenModels(): string[] {
  if (goldenMissing('models')) return [];
  const entries = readdirSync(goldenPath('models'), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

/** Every tensor of a .safetensors file of the golden folder. */
export function goldenTensors(name: string): Map<string, Float32Array> {
  const file = openSafetensors(goldenPath(name));
  return new Map([...file.tensors.keys()].map((key) => [key, readFloatTensor(file, key).data]));
}

/** The golden batch as rows to learn from: the unmasked tokens are trained. */
export function goldenRows({ batch, loss }: Golden): TrainRow[] {
  return batch.input_ids.map((ids, row) => ({
    tokens: ids.slice(0, batch.lengths[row]),
    trained: ids.flatMap((_, t) => (loss.loss_mask[row][t] ? [t] : [])),
    advantage: 1,
  }));
}

/** A row whose "trained" tokens are the successors of every token, the last one's being made up: logits of all positions. */
export function everyPosition(tokens: readonly number[], positions = [...tokens.keys()]): TrainRow {
  return { tokens: [...tokens, 0], trained: positions.map((t) => t + 1), advantage: 1 };
}

export function withAdapter(policy: Policy, adapter: Adapter): Policy {
  const options = { rank: adapter.rank, alpha: adapter.alpha, targets: adapter.targets };
  const parameters = fillParameters(loraSpecs(policy.config, options), adapter.tensors);
  return { ...policy, lora: { options, parameters } };
}

export type SequenceNumbers = { logits: Float32Array; logprobs: Float32Array; entropies: Float32Array };

/** Logits, log-probabilities and entropies before every trained token, row after row. */
export async function sequenceNumbers(
  policy: Policy,
  rows: readonly TrainRow[],
  temperature = 1,
  provider: ProviderName = 'cpu',
): Promise<SequenceNumbers> {
  const { graph, logits, logprobs, entropies } = buildSequenceGraph(
    'golden',
    decoderOptions(policy, 128, false, provider),
  );
  for (const [name, value] of Object.entries({ logits: logits[0], logprobs, entropies })) graph.output(name, value);
  const session = await createSession(graph, { threads: 1, provider });
  const weights = rows.map(() => 1);
  const [{ feeds, rowIndices }] = packBatch(rows, weights, Number.POSITIVE_INFINITY);
  feeds.inverseTemperature = { dtype: 'float32', shape: [], data: Float32Array.of(1 / temperature) };
  const results = await session.run({ ...policyFeeds(policy), ...feeds });
  await session.dispose();

  const tokens = rows.reduce((sum, row) => sum + row.trained.length, 0);
  const inOrder = (name: string): Float32Array => {
    const data = results[name].data as Float32Array;
    const width = data.length / tokens;
    const sorted = new Float32Array(data.length);
    const startOf = rows.map((_, row) => rows.slice(0, row).reduce((sum, { trained }) => sum + trained.length, 0));
    let from = 0;
    for (const row of rowIndices) {
      const length = rows[row].trained.length * width;
      sorted.set(data.subarray(from, from + length), startOf[row] * width);
      from += length;
    }
    return sorted;
  };
  return { logits: inOrder('logits'), logprobs: inOrder('logprobs'), entropies: inOrder('entropies') };
}

/** Greedy tokens [B][count] of prompts of different lengths, in one batch with one key/value cache. */
export async function greedyTokens(
  policy: Policy,
  prompts: readonly number[][],
  count: number,
  provider: ProviderName = 'cpu',
): Promise<number[][]> {
  const engine = new DecodeEngine(policy, { threads: 1, maxTokens: 128, provider });
  const cache = engine.newCache(prompts.length);
  const uniforms = prompts.map(() => [0.5]);
  const continuations: number[][] = prompts.map(() => []);
  let fresh: readonly (readonly number[])[] = prompts;
  for (let step = 0; step < count; step++) {
    const result = await engine.run({ tokens: fresh, uniforms, sampling: 'greedy', temperature: 1 }, cache);
    for (const [row, [token]] of result.tokens.entries()) continuations[row].push(token);
    fresh = result.tokens;
  }
  await engine.dispose();
  return continuations;
}

export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assert.equal(actual.length, expected.length);
  let largest = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(actual[i] - expected[i]);
    if (!(difference <= largest)) largest = difference; // NaN is kept, and fails every comparison
  }
  return largest;
}

export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what = '',
): void {
  const largest = largestDifference(actual, expected);
  assert.ok(largest <= tolerance, `${what} differs by ${largest}, allowed is ${tolerance}`);
}

/** ||actual - expected|| <= tolerance ||expected||, and no element is off by more than that share of the largest one. */
export function assertRelative(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  const length = (list: ArrayLike<number>) => Math.sqrt(Array.from(list).reduce((sum, x) => sum + x * x, 0));
  const off = length(Array.from(expected, (x, i) => actual[i] - x)) / length(expected);
  assert.ok(off <= tolerance, `${what} differs by ${off} of its norm, allowed is ${tolerance}`);
  const largest = Array.from(expected).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  assertClose(actual, expected, tolerance * largest, what);
}
