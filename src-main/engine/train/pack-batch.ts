/**
 * Trajectories as micro-batches of arrays: those that begin alike joined where it pays (shared-prefix.ts), the others sorted by
 * length, right-padded, cut so that rows x padded length stays within a budget. The weight of every token in the whole batch's
 * loss is fixed here, so any cut gives the same gradient.
 */
import { causalMask } from '../model/causal-mask.ts';
import type { Tensor } from '../runtime/session.ts';
import { branchLayout, joinPrefixes, type Layout } from './shared-prefix.ts';

/** One sequence to learn from. `trained` are the indices of its tokens that count (each predicted from the one before). */
export type TrainRow = {
  tokens: readonly number[];
  trained: readonly number[];
  /** one advantage for all its tokens; 1 in supervised training */
  advantage: number;
  /** [trained] under the old and the reference policy, where the loss needs them */
  oldLogprobs?: readonly number[];
  referenceLogprobs?: readonly number[];
};

export type Aggregation = 'batch-token' | 'sequence-mean' | 'constant';

export type MicroBatch = {
  /** which rows of the batch, in this micro-batch's order */
  rowIndices: number[];
  /** feeds of the sequence graph and of the loss */
  feeds: Record<string, Tensor>;
  tokens: number;
};

const float = (data: Float32Array, shape: number[]): Tensor => ({ dtype: 'float32', shape, data });
const int = (data: BigInt64Array, shape: number[]): Tensor => ({ dtype: 'int64', shape, data });

/** [rows] the weight of each of a row's trained tokens in the sum. `maxTokens` is the constant normalizer's length (Dr. GRPO). */
export function tokenWeights(rows: readonly TrainRow[], aggregation: Aggregation, maxTokens: number): number[] {
  const total = rows.reduce((sum, row) => sum + row.trained.length, 0);
  return rows.map((row) => {
    if (aggregation === 'batch-token') return 1 / Math.max(1, total);
    if (aggregation === 'sequence-mean') return 1 / (rows.length * Math.max(1, row.trained.length));
    return 1 / (rows.length * maxTokens);
  });
}

/**
 * Micro-batches of at most `budget` tokens over all rows that have something to learn; `weights` [rows] are their token weights,
 * `width` is that of the model, which decides what joining rows saves; without it none are joined.
 */
export function packBatch(
  rows: readonly TrainRow[],
  weights: readonly number[],
  budget: number,
  width?: number,
): MicroBatch[] {
  const learned = rows.map((_, i) => i).filter((i) => rows[i].trained.length > 0);
  const joined = width ? joinPrefixes(rows, learned, { budget, width }) : learned.map(alone);
  const batches = joined
    .filter(({ indices }) => indices.length > 1)
    .map(({ indices, prefix }) => packRows(rows, indices, weights, branchLayout(lengthsOf(rows, indices), prefix)));
  const order = joined.flatMap(({ indices }) => (indices.length === 1 ? indices : []));
  order.sort((a, b) => rows[b].tokens.length - rows[a].tokens.length || a - b);
  for (let start = 0; start < order.length; ) {
    const length = rows[order[start]].tokens.length;
    const indices = order.slice(start, start + Math.max(1, Math.floor(budget / length)));
    batches.push(packRows(rows, indices, weights, paddedLayout(lengthsOf(rows, indices))));
    start += indices.length;
  }
  return batches;
}

const alone = (index: number) => ({ indices: [index], prefix: 0 });
const lengthsOf = (rows: readonly TrainRow[], indices: readonly number[]) => indices.map((i) => rows[i].tokens.length);

/** One row beside the other, right-padded: with causal attention no real token sees the padding behind it. */
function paddedLayout(lengths: readonly number[]): Layout {
  const T = Math.max(...lengths);
  return { B: lengths.length, T, mask: causalMask(T), at: (b, t) => b * T + t };
}

function packRows(
  rows: readonly TrainRow[],
  indices: number[],
  weights: readonly number[],
  { B, T, mask, at }: Layout,
): MicroBatch {
  const K = indices.reduce((sum, i) => sum + rows[i].trained.length, 0);
  const ids = new BigInt64Array(B * T);
  const positions = BigInt64Array.from({ length: B * T }, (_, i) => BigInt(i % T));
  const chosen = new BigInt64Array(K);
  const targets = new BigInt64Array(K);
  const sequenceOf = new BigInt64Array(K);
  const [advantages, tokenWeights, shares, oldLogprobs, referenceLogprobs] = Array.from(
    { length: 5 },
    () => new Float32Array(K),
  );
  let k = 0;
  for (const [b, index] of indices.entries()) {
    const row = rows[index];
    for (const [t, token] of row.tokens.entries()) {
      ids[at(b, t)] = BigInt(token);
      positions[at(b, t)] = BigInt(t);
    }
    const weight = weights[index];
    for (const [i, t] of row.trained.entries()) {
      chosen[k] = BigInt(at(b, t - 1));
      targets[k] = BigInt(row.tokens[t]);
      sequenceOf[k] = BigInt(b);
      advantages[k] = row.advantage;
      tokenWeights[k] = weight;
      shares[k] = 1 / row.trained.length;
      oldLogprobs[k] = row.oldLogprobs?.[i] ?? 0;
      referenceLogprobs[k] = row.referenceLogprobs?.[i] ?? 0;
      k++;
    }
  }
  return {
    rowIndices: indices,
    tokens: K,
    feeds: {
      ids: int(ids, [B, T]),
      positions: int(positions, [B, T]),
      causal: float(mask, [T, T]),
      rows: int(chosen, [K]),
      targets: int(targets, [K, 1]),
      inverseTemperature: float(Float32Array.of(1), []),
      advantages: float(advantages, [K, 1]),
      tokenWeights: float(tokenWeights, [K, 1]),
      oldLogprobs: float(oldLogprobs, [K, 1]),
      referenceLogprobs: float(referenceLogprobs, [K, 1]),
      sequenceOf: int(sequenceOf, [K, 1]),
      sequenceShares: float(shares, [K, 1]),
      sequenceZeros: float(new Float32Array(indices.length), [indices.length, 1]),
    },
  };
}
