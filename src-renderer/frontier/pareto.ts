/**
 * The frontier of policies as the window draws it: little cost, much success. Pure. Not the engine's archive (src-main/
 * engine/pareto), which works on reward vectors; the hypervolume here is the same number on the chart's axes.
 */
export type CostSuccess = { cost: number; success: number };

/** The points that no other dominates, cheapest first; of equal points the first. */
export function frontierOf<P extends CostSuccess>(points: readonly P[]): P[] {
  const sorted = [...points].sort((a, b) => a.cost - b.cost || b.success - a.success);
  const frontier: P[] = [];
  for (const point of sorted) {
    if (frontier.length === 0 || point.success > frontier[frontier.length - 1].success) frontier.push(point);
  }
  return frontier;
}

/** Corners of the area that a frontier (cheapest first) dominates, down to the reference point (costLimit, 0). */
export function dominatedArea(frontier: readonly CostSuccess[], costLimit: number): CostSuccess[] {
  const inside = frontier.filter(({ cost }) => cost < costLimit);
  if (inside.length === 0) return [];
  const corners: CostSuccess[] = [{ cost: inside[0].cost, success: 0 }];
  inside.forEach(({ cost, success }, i) => {
    corners.push({ cost, success }, { cost: inside[i + 1]?.cost ?? costLimit, success });
  });
  return [...corners, { cost: costLimit, success: 0 }];
}

/** Share of the unit square, success x (1 - cost / costLimit), that the points dominate. */
export function hypervolume(points: readonly CostSuccess[], costLimit: number): number {
  const frontier = frontierOf(points).filter(({ cost }) => cost < costLimit);
  return frontier.reduce((sum, { cost, success }, i) => {
    const next = frontier[i + 1]?.cost ?? costLimit;
    return sum + (success * (next - cost)) / costLimit;
  }, 0);
}

/**
 * Where the frontier bends: the point farthest above the line between its ends, both axes scaled to that span. With fewer
 * than three points, the one that alone spans the largest hypervolume.
 */
export function kneeOf<P extends CostSuccess>(points: readonly P[], costLimit: number): P | null {
  const frontier = frontierOf(points);
  if (frontier.length === 0) return null;
  const first = frontier[0];
  const last = frontier[frontier.length - 1];
  const alone = ({ cost, success }: P) => success * Math.max(0, 1 - cost / costLimit);
  const bend = ({ cost, success }: P) =>
    (success - first.success) / (last.success - first.success) - (cost - first.cost) / (last.cost - first.cost);
  const merit = frontier.length < 3 ? alone : bend;
  return frontier.reduce((best, point) => (merit(point) > merit(best) ? point : best));
}

/** The cheapest point with at least this success, or null. */
export function cheapestAbove<P extends CostSuccess>(points: readonly P[], success: number): P | null {
  return frontierOf(points).find((point) => point.success >= success) ?? null;
}

/** The most successful point at no more than this cost, or null. */
export function bestBelow<P extends CostSuccess>(points: readonly P[], cost: number): P | null {
  return frontierOf(points).findLast((point) => point.cost <= cost) ?? null;
}
