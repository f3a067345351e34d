/**
 * Splits points into fronts: front 1 is what nothing dominates, front 2 what only front 1 dominates, and so on. Equal
 * points share a front.
 *
 * Visited in descending lexicographic order, no point can be dominated by a later one, and if a front holds a dominator of a
 * point, so does every front before it: the first front without one is the point's own (Zhang, Tian, Cheng, Jin, "An efficient
 * approach to nondominated sorting", 2015, with binary search: ENS-BS). Who dominates whom is kept as bits, one a pair: the
 * dominators of a point are the earlier ones that are at least as good in the second objective, and in the third, and so on,
 * which is an intersection of sets (as in Moreno et al., "Merge nondominated sorting algorithm for many-objective
 * optimization", 2020): M n^2 / 64 operations on words, whatever the fronts look like. Two objectives need n log n.
 */
import { assert } from '../base/assert.ts';

/** Points whose dominators are in memory at once: a block of bits has this many rows. */
const blockSize = 2048;

/** The rank of each point's front, from 1 (best), in the order of the points; any number of objectives. */
export function nonDominatedSort(points: readonly (readonly number[])[]): number[] {
  const m = points[0]?.length ?? 0;
  const wrong = points.find((point) => point.length !== m || point.some(Number.isNaN));
  assert(wrong === undefined, `cannot rank the point [${wrong?.join(', ')}]`);
  const first = Float64Array.from(points, (point) => point[0]);
  const order = Uint32Array.from(points, (_, i) => i).sort(
    (i, j) => first[j] - first[i] || compareDescending(points[i], points[j]),
  );
  // equal points come one after the other and have one place; of each place the point that stands for it
  const own: number[] = [];
  const placeOf = new Uint32Array(points.length);
  for (const i of order) {
    if (own.length === 0 || compareDescending(points[own[own.length - 1]], points[i]) !== 0) own.push(i);
    placeOf[i] = own.length - 1;
  }
  const columns = Array.from({ length: Math.max(0, m - 1) }, (_, k) => own.map((i) => points[i][k + 1]));
  const ranks = m <= 2 ? ranksByNewest(columns[0] ?? own.map(() => 0)) : ranksByDominators(columns.map(descendingBy));
  return Array.from(placeOf, (place) => ranks[place]);
}

/** The rank of each place from the second of two objectives: only the newest member of a front, its best, can dominate. */
function ranksByNewest(values: readonly number[]): Uint32Array {
  const newest: number[] = [];
  return Uint32Array.from(values, (value) => {
    const front = firstWithout(newest.length, (one) => newest[one] >= value);
    newest[front] = value;
    return front + 1;
  });
}

/** The rank of each place from all objectives but the first. */
function ranksByDominators(objectives: Tiers[]): Uint32Array {
  const n = objectives[0].places.length;
  const words = (n + 31) >> 5;
  const dominators = new Int32Array(Math.min(blockSize, n) * words);
  const fronts: Int32Array[] = [];
  const ranks = new Uint32Array(n);
  for (let from = 0; from < n; from += blockSize) {
    const to = Math.min(from + blockSize, n);
    dominators.fill(-1);
    for (const tiers of objectives) keepAtLeastAsGood(dominators, tiers, from, to, words);
    for (let at = from; at < to; at++) {
      const row = (at - from) * words;
      const front = firstWithout(fronts.length, (one) => haveCommon(dominators, row, fronts[one], at));
      if (front === fronts.length) fronts.push(new Int32Array(words));
      fronts[front][at >> 5] |= 1 << (at & 31);
      ranks[at] = front + 1;
    }
  }
  return ranks;
}

/** Places in the order of one objective, the best first; `ends` marks the last of those with one value. */
type Tiers = { places: Uint32Array; ends: Uint8Array };

function descendingBy(list: number[]): Tiers {
  const values = Float64Array.from(list);
  const places = Uint32Array.from(list, (_, place) => place).sort((a, b) => values[b] - values[a]);
  const ends = Uint8Array.from(places, (place, k) => Number(values[places[k + 1]] !== values[place]));
  return { places, ends };
}

/** Leaves among the dominators of the places `from` to `to` those that are at least as good in this objective. */
function keepAtLeastAsGood(
  dominators: Int32Array,
  { places, ends }: Tiers,
  from: number,
  to: number,
  words: number,
): void {
  const seen = new Int32Array(words);
  let first = 0;
  for (let k = 0; k < places.length; k++) {
    seen[places[k] >> 5] |= 1 << (places[k] & 31);
    if (ends[k] === 0) continue;
    for (; first <= k; first++) {
      const place = places[first];
      if (place < from || place >= to) continue;
      const row = (place - from) * words;
      for (let word = place >> 5; word >= 0; word--) dominators[row + word] &= seen[word];
    }
  }
}

/** The first of `count` fronts that holds no dominator; every front before it does. */
function firstWithout(count: number, dominates: (front: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (dominates(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether a front, which holds places before `at` only, has one of these dominators. */
function haveCommon(dominators: Int32Array, row: number, front: Int32Array, at: number): boolean {
  for (let word = at >> 5; word >= 0; word--) if ((dominators[row + word] & front[word]) !== 0) return true;
  return false;
}

/** Larger first objective first, ties by the second, and so on. */
function compareDescending(a: readonly number[], b: readonly number[]): number {
  for (let k = 0; k < a.length; k++) if (a[k] !== b[k]) return b[k] - a[k];
  return 0;
}
