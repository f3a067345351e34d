/**
 * Hypervolume: the volume of the region that a set of points dominates above a reference point. Exact, for any number of
 * objectives, all maximised. A point that is not strictly better than the reference in every objective adds nothing: it
 * is dropped, never clipped into a negative or a zero-width box.
 *
 * One identity carries all dimensions. Visit the points by descending last objective; each then adds a slab as high as its
 * last objective, over what its other objectives add to those of the points before it:
 *
 *     HV_M(P) = sum_i  p_i[M] * gain_{M-1}(p_i[1..M-1] | p_1[1..M-1], ..., p_{i-1}[1..M-1])
 *
 * M = 2: the gain is how far the largest first objective moves.  M = 3: it is an area, kept as a staircase.  M >= 4: the gain
 * of p over Q is its own box minus the hypervolume of Q limited to that box, each q replaced by min(p, q) (While, Bradstreet,
 * Barone, "A fast way of calculating exact hypervolumes", 2012: WFG, which slices in the same way).
 */
import { covers } from './dominance.ts';

type Point = readonly number[];

/** Hypervolume of `points` [n][M] above `reference` [M]; O(n log n) for M = 2, about that for M = 3. */
export function hypervolume(points: readonly Point[], reference: Point): number {
  return volume(aboveReference(points, reference));
}

/** What adding `point` would add to the hypervolume of `points`; exactly 0 for a point that one of them dominates or equals. */
export function hypervolumeGain(points: readonly Point[], reference: Point, point: Point): number {
  const [shifted] = aboveReference([point], reference);
  return shifted === undefined ? 0 : gain(aboveReference(points, reference), shifted);
}

/** What each point alone adds to the hypervolume of the set [n]; 0 for dominated points and for duplicates. */
export function hypervolumeContributions(points: readonly Point[], reference: Point): number[] {
  return points.map((point, i) => hypervolumeGain(points.toSpliced(i, 1), reference, point));
}

/** The points that count, measured from the reference. */
function aboveReference(points: readonly Point[], reference: Point): number[][] {
  return points
    .filter((point) => point.every((value, k) => value > reference[k]))
    .map((point) => point.map((value, k) => value - reference[k]));
}

/** Volume added to that of `others` by `point`; all of them positive. */
function gain(others: readonly Point[], point: Point): number {
  if (others.some((other) => covers(other, point))) return 0;
  const box = point.reduce((product, value) => product * value, 1);
  const limited = others.map((other) => other.map((value, k) => Math.min(value, point[k])));
  return Math.max(0, box - volume(limited));
}

/** Hypervolume above the origin of positive points. */
function volume(points: readonly Point[]): number {
  if (points.length === 0) return 0;
  const last = points[0].length - 1;
  const sorted = (last >= 3 ? nonDominated(points) : [...points]).sort((a, b) => b[last] - a[last]);
  const gainOf = ([onePoint, longestEdge, staircase][last] ?? limitedBoxes)();
  return sorted.reduce((sum, point) => sum + point[last] * gainOf(point), 0);
}

/** M = 1: only the best point counts, and it comes first. */
function onePoint(): (point: Point) => number {
  let first = 1;
  return () => {
    const share = first;
    first = 0;
    return share;
  };
}

/** M = 2: how far each point moves the largest first objective. */
function longestEdge(): (point: Point) => number {
  let longest = 0;
  return ([x]) => {
    const grown = Math.max(0, x - longest);
    longest += grown;
    return grown;
  };
}

/** M = 3: the area each point adds under a staircase, whose corners have x ascending and y descending (either may repeat). */
function staircase(): (point: Point) => number {
  const corners: { x: number; y: number }[] = [];
  return ([x, y]) => {
    let low = 0;
    let high = corners.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (corners[middle].x < x) low = middle + 1;
      else high = middle;
    }
    if (low < corners.length && corners[low].y >= y) return 0;
    // walk left from x over the corners that the new point covers, adding the strip above each
    let area = 0;
    let right = x;
    let floor = corners[low]?.y ?? 0;
    let first = low;
    while (first > 0 && corners[first - 1].y <= y) {
      const corner = corners[--first];
      area += (right - corner.x) * (y - floor);
      right = corner.x;
      floor = corner.y;
    }
    area += (right - (corners[first - 1]?.x ?? 0)) * (y - floor);
    corners.splice(first, low - first, { x, y });
    return area;
  };
}

/** M >= 4: the volume each point adds in the objectives before the last. */
function limitedBoxes(): (point: Point) => number {
  const before: number[][] = [];
  return (point) => {
    const base = point.slice(0, -1);
    const added = gain(before, base);
    before.push(base);
    return added;
  };
}

/** The points that no other covers, one of each: limiting to a box makes many equal or dominated. */
function nonDominated(points: readonly Point[]): Point[] {
  const kept: Point[] = [];
  for (const point of points) {
    if (kept.some((other) => covers(other, point))) continue;
    let size = 0;
    for (const other of kept) if (!covers(point, other)) kept[size++] = other;
    kept.length = size;
    kept.push(point);
  }
  return kept;
}
