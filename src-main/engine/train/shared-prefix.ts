/**
 * Rows that begin alike, as one sequence: the samples of a group have their prompt in common, which is then computed once
 * instead of once a sample. The prompt of a real model with its tool descriptions is longer than what it writes, so most of a
 * step's tokens are such repetitions. Not the packing itself (pack-batch.ts); no gradient depends on which rows are joined.
 */
import { commonLength } from '../base/sequences.ts';
import { HIDDEN } from '../model/causal-mask.ts';
import type { TrainRow } from './pack-batch.ts';

/** Rows (indices into the batch) whose first `prefix` tokens are one; a row alone has no prefix. */
export type Branches = { indices: number[]; prefix: number };

/** No longer sequence is made of several rows: attention looks at all pairs of tokens, those that are hidden from each other too. */
export const longestJoined = 1024;
/** A beginning shorter than this is not worth a sequence of its own. */
const SHORTEST = 64;
/** A row joins where that saves at least this share of its cost: many rows side by side have an advantage of their own. */
const WORTH = 0.25;

/**
 * The rows `among` the batch, joined where it pays in a model of this width D; `budget` is the most tokens of a sequence. The
 * order is that of the tokens.
 */
export function joinPrefixes(
  rows: readonly TrainRow[],
  among: readonly number[],
  { budget, width }: { budget: number; width: number },
): Branches[] {
  // a layer has about 12 D^2 weights, each in one product a token; attention has 2 D products a pair of tokens
  const cost = (tokens: number) => tokens * (1 + tokens / (6 * width));
  const sorted = [...among].sort((a, b) => compare(rows[a].tokens, rows[b].tokens) || a - b);
  const all: (Branches & { tokens: number })[] = [];
  for (const index of sorted) {
    const { tokens: own, trained } = rows[index];
    const last = all.at(-1);
    if (last !== undefined) {
      // what is learned from belongs to one row, so it is no part of the prefix
      const prefix = commonLength(rows[last.indices[0]].tokens, own, Math.min(trained[0], last.prefix));
      const tokens = last.tokens + (last.indices.length - 1) * (last.prefix - prefix) + own.length - prefix;
      const saved = cost(own.length) - (cost(tokens) - cost(last.tokens));
      if (prefix >= SHORTEST && tokens <= Math.min(budget, longestJoined) && saved >= WORTH * cost(own.length)) {
        last.indices.push(index);
        Object.assign(last, { prefix, tokens });
        continue;
      }
    }
    all.push({ indices: [index], prefix: trained[0], tokens: own.length });
  }
  return all.map(({ indices, prefix }) => ({ indices, prefix: indices.length > 1 ? prefix : 0 }));
}

function compare(a: readonly number[], b: readonly number[]): number {
  const same = commonLength(a, b, Math.min(a.length, b.length));
  return (a[same] ?? -1) - (b[same] ?? -1);
}

/** Where the tokens of rows lie in arrays [B, T], and what each token of a sequence sees. */
export type Layout = {
  B: number;
  T: number;
  /** [T, T] added to the scores, the same for all B */
  mask: Float32Array;
  /** the flat index of token `t` of the `b`-th row */
  at(b: number, t: number): number;
};

/** One sequence: the prefix, then what each row of these lengths has of its own, which sees the prefix and itself. */
export function branchLayout(lengths: readonly number[], prefix: number): Layout {
  const starts: number[] = [];
  let T = prefix;
  for (const length of lengths) {
    starts.push(T);
    T += length - prefix;
  }
  const mask = new Float32Array(T * T).fill(HIDDEN);
  for (let t = 0; t < prefix; t++) mask.fill(0, t * T, t * T + t + 1);
  for (const [b, start] of starts.entries()) {
    for (let t = start; t < start + lengths[b] - prefix; t++) {
      mask.fill(0, t * T, t * T + prefix);
      mask.fill(0, t * T + start, t * T + t + 1);
    }
  }
  return { B: 1, T, mask, at: (b, t) => (t < prefix ? t : starts[b] + t - prefix) };
}
