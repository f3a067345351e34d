/**
 * Splits points into fronts: front 1 is what nothing dominates, front 2 what only front 1 dominates, and so on. Equal
 * points share a front.
 *
 * Zhang, Tian, Cheng, Jin, "An efficient approach to nondominated sorting" (2015), with binary search (ENS-BS). Visited in
 * descending lexicographic order, no point can be dominated by a later one, and if a front holds a dominator of a point,
 * so does every front before it: the first front without one is the point's own. O(M n^2) at worst (all on one front);
 * with one or two objectives only the newest member of a front can dominate, hence O(n log n).
 */
import { assert } from '../base/assert.ts';
import { dominates } from './dominance.ts';

/** The rank of each point's front, from 1 (best), in the order of the points; any number of objectives. */
export function nonDominatedSort(points: readonly (readonly number[])[]): number[] {
  const objectives = points[0]?.length ?? 0;
  for (const point of points) {
    assert(point.length === objectives && !point.some(Number.isNaN), `cannot rank the point [${point.join(', ')}]`);
  }
  const best = points.map((_, i) => i).sort((i, j) => compareDescending(points[i], points[j]));
  const fronts: number[][] = [];
  const ranks = new Array<number>(points.length);

  const dominatedBy = (front: number[], point: readonly number[]) => {
    const first = objectives <= 2 ? front.length - 1 : 0;
    for (let k = front.length - 1; k >= first; k--) if (dominates(points[front[k]], point)) return true;
    return false;
  };
  for (const i of best) {
    let low = 0;
    let high = fronts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (dominatedBy(fronts[middle], points[i])) low = middle + 1;
      else high = middle;
    }
    if (low === fronts.length) fronts.push([]);
    fronts[low].push(i);
    ranks[i] = low + 1;
  }
  return ranks;
}

/** Larger first objective first, ties by the second, and so on. */
function compareDescending(a: readonly number[], b: readonly number[]): number {
  for (let k = 0; k < a.length; k++) if (a[k] !== b[k]) return b[k] - a[k];
  return 0;
}
