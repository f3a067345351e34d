/**
 * Measured policies by more than two objectives: what is measured of each, and which of them no other dominates. Pure. Not the
 * chart of success against cost (pareto.ts), nor the engine's archive of reward vectors.
 */
import type { RunConfig } from '../../src-main/contract/run-config.ts';
import type { ViewPoint } from '../runs/run-view.ts';

export type MeasureName = 'success' | 'cost' | 'length' | 'calls';

/** `interval`: 95 %, where the measure has one. `sign`: 1 where more is better, -1 where less is. */
export type Measure = {
  name: MeasureName;
  sign: 1 | -1;
  value(point: ViewPoint): number;
  interval(point: ViewPoint): [low: number, high: number] | null;
};

export const measures: readonly Measure[] = [
  { name: 'success', sign: 1, value: (p) => p.success, interval: (p) => [p.successLow, p.successHigh] },
  { name: 'cost', sign: -1, value: (p) => p.cost, interval: (p) => [p.costLow, p.costHigh] },
  { name: 'length', sign: -1, value: (p) => p.responseLength, interval: () => null },
  { name: 'calls', sign: -1, value: (p) => p.calls, interval: () => null },
];

export function measureOf(name: MeasureName): Measure {
  return measures.find((measure) => measure.name === name)!;
}

const measured: Record<RunConfig['objectives'][number], MeasureName> = { success: 'success', tool: 'cost', length: 'length' };

/** What a run's objectives are measured by, in their order. */
export function objectiveMeasures(objectives: RunConfig['objectives']): Measure[] {
  return objectives.map((name) => measureOf(measured[name]));
}

/** The points that no other is at least as good as in every measure and better in one, in their order; equal points all stay. */
export function nonDominated(points: readonly ViewPoint[], by: readonly Measure[]): ViewPoint[] {
  const vectors = points.map((point) => by.map(({ sign, value }) => sign * value(point)));
  const order = points.map((_, i) => i).sort((i, j) => descending(vectors[i], vectors[j]));
  // who dominates a point comes before it, and if not on the frontier, then who dominates both does
  const frontier: number[] = [];
  for (const i of order) {
    const dominated = frontier.some((j) => covers(vectors[j], vectors[i]) && !covers(vectors[i], vectors[j]));
    if (!dominated) frontier.push(i);
  }
  return frontier.sort((i, j) => i - j).map((i) => points[i]);
}

const covers = (a: number[], b: number[]) => a.every((value, m) => value >= b[m]);

/** Order by the first measure in which they differ, greater first. */
function descending(a: number[], b: number[]): number {
  const m = a.findIndex((value, k) => value !== b[k]);
  return m < 0 ? 0 : b[m] - a[m];
}
