/**
 * Trajectories as micro-batches of arrays: in families of those that begin alike where it pays (shared-prefix.ts), or side by
 * side, sorted by length; right-padded, cut so that the tokens of a micro-batch stay within a budget. The weight of every token
 * in the whole batch's loss is fixed here, so any cut gives the same gradient.
 */
import { causalMask } from '../model/causal-mask.ts';
import type { Tensor } from '../runtime/session.ts';
import { familiesOf, type Family } from './shared-prefix.ts';

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
  rowIndices: readonly number[];
  /** whether its graph is that of families (model/branched-attention.ts) */
  branches: boolean;
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

/** Families of one micro-batch are no more than this times their tokens with padding. */
const MOST_PADDING = 1.25;

/**
 * Micro-batches of at most `budget` tokens over all rows that have something to learn; `weights` [rows] are their token weights,
 * `width` is that of the model, which decides what families save; without it there are none.
 */
export function packBatch(
  rows: readonly TrainRow[],
  weights: readonly number[],
  budget: number,
  width?: number,
): MicroBatch[] {
  const learned = rows.map((_, i) => i).filter((i) => rows[i].trained.length > 0);
  const lengthOf = (i: number) => rows[i].tokens.length;
  const families = width && learned.length > 0 ? familiesOf(rows, learned, { budget, width }) : null;
  if (families !== null) {
    const sized = families.map((family) => sizeOf(rows, family));
    sized.sort((a, b) => b.S - a.S || b.C - a.C || b.P - a.P || a.family.indices[0] - b.family.indices[0]);
    return cut(sized, (together) => fitsTogether(together, budget)).map((together) =>
      packRows(
        rows,
        together.flatMap(({ family }) => family.indices),
        weights,
        familyLayout(together),
      ),
    );
  }
  const order = learned.sort((a, b) => lengthOf(b) - lengthOf(a) || a - b);
  return cut(order, (together) => together.length * lengthOf(together[0]) <= budget).map((indices) =>
    packRows(rows, indices, weights, paddedLayout(indices.map(lengthOf))),
  );
}

/** Runs of the items, in order, as long as they fit; one always does. */
function cut<T>(items: readonly T[], fit: (together: readonly T[]) => boolean): T[][] {
  const runs: T[][] = [];
  for (const item of items) {
    const last = runs.at(-1);
    if (last !== undefined && fit([...last, item])) last.push(item);
    else runs.push([item]);
  }
  return runs;
}

/** Where the tokens of rows lie, one after the other, and how they are fed. */
type Layout = {
  branches: boolean;
  /** all tokens, padding included */
  size: number;
  /** the place of token `t` of the `b`-th row */
  at(b: number, t: number): number;
  feeds(ids: BigInt64Array, positions: BigInt64Array): Record<string, Tensor>;
};

/** One row beside the other, right-padded: with causal attention no real token sees the padding behind it. */
function paddedLayout(lengths: readonly number[]): Layout {
  const B = lengths.length;
  const T = Math.max(...lengths);
  return {
    branches: false,
    size: B * T,
    at: (b, t) => b * T + t,
    feeds: (ids, positions) => ({
      ids: int(ids, [B, T]),
      positions: int(positions, [B, T]),
      causal: float(causalMask(T), [T, T]),
    }),
  };
}

/** A family with its lengths: P tokens of the beginning, S rows, C tokens of the longest own part. */
type Sized = { family: Family; P: number; S: number; C: number };

function sizeOf(rows: readonly TrainRow[], family: Family): Sized {
  const { indices, prefix } = family;
  return { family, P: prefix, S: indices.length, C: Math.max(...indices.map((i) => rows[i].tokens.length)) - prefix };
}

function largestOf(together: readonly Sized[]): { Q: number; P: number; S: number; C: number } {
  const largest = (name: 'P' | 'S' | 'C') => Math.max(...together.map((one) => one[name]));
  return { Q: together.length, P: largest('P'), S: largest('S'), C: largest('C') };
}

function fitsTogether(together: readonly Sized[], budget: number): boolean {
  const { Q, P, S, C } = largestOf(together);
  const padded = Q * (P + S * C);
  return padded <= budget && padded <= MOST_PADDING * together.reduce((sum, one) => sum + one.P + one.S * one.C, 0);
}

/** Beginnings [Q, P], then own parts [Q, S, C], all right-padded. */
function familyLayout(together: readonly Sized[]): Layout {
  const { Q, P, S, C } = largestOf(together);
  const placeOf = together.flatMap(({ family: { indices }, P: prefix }, q) =>
    indices.map((_, r) => ({ q, prefix, start: Q * P + (q * S + r) * C - prefix })),
  );
  return {
    branches: true,
    size: Q * (P + S * C),
    at(b, t) {
      const { q, prefix, start } = placeOf[b];
      return t < prefix ? q * P + t : start + t;
    },
    feeds: (ids, positions) => ({
      prefixIds: int(ids.subarray(0, Q * P), [Q, P]),
      ids: int(ids.subarray(Q * P), [Q, S, C]),
      prefixPositions: int(positions.subarray(0, Q * P), [Q, P]),
      positions: int(positions.subarray(Q * P), [Q, S, C]),
      prefixCausal: float(causalMask(P), [P, P]),
      causal: float(causalMask(C), [C, C]),
      slots: float(
        Float32Array.from({ length: P }, (_, i) => i),
        [P],
      ),
      prefixLengths: float(
        Float32Array.from(together, (one) => one.P),
        [Q, 1, 1, 1, 1, 1],
      ),
    }),
  };
}

function packRows(
  rows: readonly TrainRow[],
  indices: readonly number[],
  weights: readonly number[],
  layout: Layout,
): MicroBatch {
  const { size, at } = layout;
  const K = indices.reduce((sum, i) => sum + rows[i].trained.length, 0);
  const ids = new BigInt64Array(size);
  const positions = new BigInt64Array(size);
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
    branches: layout.branches,
    tokens: K,
    feeds: {
      ...layout.feeds(ids, positions),
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
