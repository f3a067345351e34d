/**
 * Rows that begin alike, in families: the samples of a group have their prompt in common, which is then computed once instead
 * of once a sample. The prompt of a real model with its tool descriptions is longer than what it writes, so most of a step's
 * tokens are such repetitions. Which rows are of one family changes the cost and no gradient. Not the packing itself
 * (pack-batch.ts); how attention sees families is model/branched-attention.ts.
 */
import { commonLength } from '../base/sequences.ts';
import type { TrainRow } from './pack-batch.ts';

/** Rows (indices into the batch) whose first `prefix` tokens are one; of a row alone they are those before it learns. */
export type Family = { indices: number[]; prefix: number };

/** A beginning shorter than this is not worth a family. */
const SHORTEST = 16;
/** A row joins a family where that saves at least this share of its cost. */
const WORTH = 0.25;
/** Families are made where they save at least this share of the whole batch: side by side rows need fewer operators. */
const WORTH_ALL = 0.15;

/**
 * The rows `among` the batch in families where that pays in a model of this width D, null where it does not; `budget` is the most
 * tokens of a family, padding included. The order is that of the tokens.
 */
export function familiesOf(
  rows: readonly TrainRow[],
  among: readonly number[],
  { budget, width }: { budget: number; width: number },
): Family[] | null {
  // a layer has about 12 D^2 weights, each in one product a token; attention has 2 D products a pair of tokens
  const cost = (tokens: number, pairs: number) => tokens + pairs / (6 * width);
  const aloneCost = (length: number) => cost(length, length * length);
  const familyCost = (count: number, prefix: number, longest: number) => {
    const own = longest - prefix;
    return cost(prefix + count * own, prefix * prefix + count * own * longest);
  };
  const sorted = [...among].sort((a, b) => compare(rows[a].tokens, rows[b].tokens) || a - b);
  const all: (Family & { longest: number; cost: number })[] = [];
  let sideBySide = 0;
  for (const index of sorted) {
    const { tokens: own, trained } = rows[index];
    const alone = aloneCost(own.length);
    sideBySide += alone;
    const last = all.at(-1);
    if (last !== undefined) {
      // what is learned from belongs to one row, so it is no part of the prefix
      const prefix = commonLength(rows[last.indices[0]].tokens, own, Math.min(trained[0], last.prefix));
      const longest = Math.max(last.longest, own.length);
      const count = last.indices.length + 1;
      const joined = familyCost(count, prefix, longest);
      const fits = prefix + count * (longest - prefix) <= budget;
      if (prefix >= SHORTEST && fits && last.cost + alone - joined >= WORTH * alone) {
        last.indices.push(index);
        Object.assign(last, { prefix, longest, cost: joined });
        continue;
      }
    }
    all.push({ indices: [index], prefix: trained[0], longest: own.length, cost: alone });
  }
  const together = all.reduce((sum, family) => sum + family.cost, 0);
  if (together > (1 - WORTH_ALL) * sideBySide) return null;
  return all.map(({ indices, prefix }) => ({ indices, prefix }));
}

function compare(a: readonly number[], b: readonly number[]): number {
  const same = commonLength(a, b, Math.min(a.length, b.length));
  return (a[same] ?? -1) - (b[same] ?? -1);
}
