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
 * M = 2: the gain is how far the largest first objective moves.  M = 3: it is an area, kept as a staircase.  M = 4: it is a
 * volume, found by going down the new point's own column (as in Guerreiro, Fonseca, "Computing and updating hypervolume
 * contributions in up to four dimensions", 2018, without its incremental staircases).  M >= 5: the gain of p over Q is its own
 * box minus the hypervolume of Q limited to that box, each q replaced by min(p, q) and the dominated ones left out (While,
 * Bradstreet, Barone, "A fast way of calculating exact hypervolumes", 2012: WFG, which slices in the same way).
 *
 * Inside, points lie row after row in one flat array: speed here is memory in a row and no allocation in a loop.
 */
import { covers } from './dominance.ts';

type Point = readonly number[];

/** Hypervolume of `points` [n][M] above `reference` [M]; about n log n steps for M <= 3, n^2 log n at worst for M = 4. */
export function hypervolume(points: readonly Point[], reference: Point): number {
  const m = reference.length;
  const above = new Float64Array(points.length * m);
  let n = 0;
  for (const point of points) {
    let k = 0;
    for (; k < m && point[k] > reference[k]; k++) above[n * m + k] = point[k] - reference[k];
    if (k === m) n++;
  }
  const last = new Float64Array(n);
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    last[i] = above[i * m + m - 1];
    order[i] = i;
  }
  order.sort((i, j) => last[j] - last[i]);
  const rows = new Float64Array(n * m);
  for (let to = 0; to < n; to++) for (let k = 0; k < m; k++) rows[to * m + k] = above[order[to] * m + k];
  return sortedVolume(rows, n, m);
}

/** What adding `point` would add to the hypervolume of `points`; exactly 0 for a point that one of them dominates or equals. */
export function hypervolumeGain(points: readonly Point[], reference: Point, point: Point): number {
  if (points.some((other) => covers(other, point))) return 0;
  const box = hypervolume([point], reference);
  const limited = points.map((other) => other.map((value, k) => Math.min(value, point[k])));
  return Math.max(0, box - hypervolume(limited, reference));
}

/** What each point alone adds to the hypervolume of the set [n]; 0 for dominated points and for duplicates. */
export function hypervolumeContributions(points: readonly Point[], reference: Point): number[] {
  return points.map((point, i) => hypervolumeGain(points.toSpliced(i, 1), reference, point));
}

/** What the point in `rows` from `at` on, without its last objective, adds to those that came before it. */
type GainOf = (rows: Float64Array, at: number) => number;

/** Hypervolume of the first `n` rows of `m` positive numbers, by descending last objective. */
function sortedVolume(rows: Float64Array, n: number, m: number): number {
  const gainOf =
    m === 1
      ? onePoint()
      : m === 2
        ? longestEdge()
        : m === 3
          ? stairs(n).add
          : m === 4
            ? columns(n)
            : limitedBoxes(n, m - 1);
  let sum = 0;
  for (let at = 0; at < n * m; at += m) sum += rows[at + m - 1] * gainOf(rows, at);
  return sum;
}

/** M = 1: only the best point counts, and it comes first. */
function onePoint(): GainOf {
  let first = 1;
  return () => {
    const share = first;
    first = 0;
    return share;
  };
}

/** M = 2: how far each point moves the largest first objective. */
function longestEdge(): GainOf {
  let longest = 0;
  return (rows, at) => {
    const grown = Math.max(0, rows[at] - longest);
    longest += grown;
    return grown;
  };
}

/** M = 3: the area that each point adds to a staircase, whose corners have x ascending and y descending (either may repeat). */
function stairs(n: number): { add: GainOf; limited: (x: number, y: number) => number; clear: () => void } {
  const xs = new Float64Array(n);
  const ys = new Float64Array(n);
  let size = 0;
  const limited = (x: number, y: number) => {
    let low = 0;
    let high = size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (xs[middle] < x) low = middle + 1;
      else high = middle;
    }
    if (low < size && ys[low] >= y) return 0;
    // walk left from x over the corners that the new point covers, adding the strip above each
    let area = 0;
    let right = x;
    let floor = low < size ? ys[low] : 0;
    let first = low;
    while (first > 0 && ys[first - 1] <= y) {
      first--;
      area += (right - xs[first]) * (y - floor);
      right = xs[first];
      floor = ys[first];
    }
    area += (right - (first > 0 ? xs[first - 1] : 0)) * (y - floor);
    // those corners, from `first` to `low`, give way to the new one
    const shift = first + 1 - low;
    if (shift === 1) {
      for (let k = size; k > first; k--) {
        xs[k] = xs[k - 1];
        ys[k] = ys[k - 1];
      }
    } else if (shift < 0) {
      for (let k = low; k < size; k++) {
        xs[k + shift] = xs[k];
        ys[k + shift] = ys[k];
      }
    }
    size += shift;
    xs[first] = x;
    ys[first] = y;
    return area;
  };
  const clear = () => {
    size = 0;
  };
  return { add: (rows, at) => limited(rows[at], rows[at + 1]), limited, clear };
}

/**
 * M = 4: the volume that each point adds in x, y, z. Down its own column: at each height, what the points above leave open of
 * its rectangle in x and y, until one covers the whole rectangle.
 */
function columns(n: number): GainOf {
  // x, y, z and the height of the next point below that covers it in x and y: down there it has no part in the open area
  const front = new Float64Array(4 * n);
  let size = 0;
  const { limited, clear } = stairs(n);
  return (rows, at) => {
    const x = rows[at];
    const y = rows[at + 1];
    const z = rows[at + 2];
    clear();
    let open = x * y;
    let top = z;
    let sum = 0;
    let coveredAt = 0;
    for (let k = 0; k < 4 * size; k += 4) {
      const height = front[k + 2];
      const above = height >= z;
      if (above && front[k + 3] >= z) continue;
      if (!above) {
        sum += open * (top - height);
        top = height;
      }
      if (front[k] >= x && front[k + 1] >= y) {
        if (above) return 0;
        // an equal rectangle is no other point: this one takes its place
        coveredAt = front[k] > x || front[k + 1] > y ? height : front[k + 3];
        open = 0;
        break;
      }
      open -= limited(Math.min(front[k], x), Math.min(front[k + 1], y));
    }
    for (let k = 0; k < 4 * size && front[k + 2] >= z; k += 4) {
      if (front[k] <= x && front[k + 1] <= y) front[k + 3] = Math.max(front[k + 3], z);
    }
    const place = intoFront(front, size, rows, at, 3, 4);
    size = place.size;
    front[place.at + 3] = coveredAt;
    return Math.max(0, sum + open * top);
  };
}

/** M >= 5: the volume that each point adds in the `m` objectives before the last: its box without what others fill of it. */
function limitedBoxes(n: number, m: number): GainOf {
  const front = new Float64Array(m * n);
  const limited = new Float64Array(m * n);
  let size = 0;
  return (rows, at) => {
    const count = limitTo(front, size, rows, at, m, limited);
    if (count < 0) return 0;
    size = intoFront(front, size, rows, at, m).size;
    let box = 1;
    for (let k = 0; k < m; k++) box *= rows[at + k];
    return Math.max(0, box - sortedVolume(limited, count, m));
  };
}

/**
 * Writes to `out` the points of a front limited to the box of the point in `rows` at `at`, still by descending last objective,
 * without those that another then covers. How many they are; -1 where one covers the whole box.
 */
function limitTo(
  front: Float64Array,
  size: number,
  rows: Float64Array,
  at: number,
  m: number,
  out: Float64Array,
): number {
  let count = 0;
  for (let q = 0; q < size * m; q += m) {
    const to = count * m;
    let fills = true;
    for (let k = 0; k < m; k++) {
      out[to + k] = Math.min(front[q + k], rows[at + k]);
      if (k < m - 1 && front[q + k] < rows[at + k]) fills = false;
    }
    const atTop = front[q + m - 1] >= rows[at + m - 1];
    if (fills && atTop) return -1;
    // what came before is at least as high; only those cut off at the same height can be covered by what comes later
    if (coveredByOne(out, count, to, m)) continue;
    count = atTop ? withoutCovered(out, count, to, m) : count + 1;
    if (fills) break;
  }
  return count;
}

/** Whether one of the first `count` rows is at least as good as the row at `at`. */
function coveredByOne(rows: Float64Array, count: number, at: number, m: number): boolean {
  // the lower ones reach further in the other objectives: they cover more
  for (let other = (count - 1) * m; other >= 0; other -= m) if (coversRow(rows, other, rows, at, m)) return true;
  return false;
}

/** Leaves out of the first `count` rows those that the row at `at`, the next one, covers, and moves it up behind the rest. */
function withoutCovered(rows: Float64Array, count: number, at: number, m: number): number {
  let kept = 0;
  for (let other = 0; other < count * m; other += m) {
    if (coversRow(rows, at, rows, other, m)) continue;
    if (kept !== other) rows.copyWithin(kept, other, other + m);
    kept += m;
  }
  if (kept !== at) rows.copyWithin(kept, at, at + m);
  return kept / m + 1;
}

/**
 * Puts the point in `rows` at `at` into a front by descending last of its `m` objectives, in place of those that it covers:
 * where it now is, and the new size. The front's rows may be longer; the rest of the new one is left to the caller.
 */
function intoFront(front: Float64Array, size: number, rows: Float64Array, at: number, m: number, width = m) {
  let first = 0;
  while (first < size * width && front[first + m - 1] > rows[at + m - 1]) first += width;
  let kept = first;
  for (let k = first; k < size * width; k += width) {
    if (coversRow(rows, at, front, k, m)) continue;
    if (kept !== k) front.copyWithin(kept, k, k + width);
    kept += width;
  }
  front.copyWithin(first + width, first, kept);
  for (let k = 0; k < m; k++) front[first + k] = rows[at + k];
  return { at: first, size: kept / width + 1 };
}

/** Whether the row of `a` at `i` is at least as good in every objective as that of `b` at `j`. */
function coversRow(a: Float64Array, i: number, b: Float64Array, j: number, m: number): boolean {
  for (let k = 0; k < m; k++) if (a[i + k] < b[j + k]) return false;
  return true;
}
