/**
 * The picture of a run as plain data and geometry: policy points of success against cost, their frontier, and the area
 * between it and the reference point. Two files draw it: frontier-plot.ts in a terminal, frontier-svg.ts as SVG. Which
 * points are on the frontier is decided by the engine, not here.
 */

/** A policy point as a chart needs it. Success in 0..1, cost in the user's unit. */
export type ChartPoint = {
  step: number;
  success: number;
  successLow: number;
  successHigh: number;
  cost: number;
  costLow: number;
  costHigh: number;
  onFrontier: boolean;
};

export type FrontierChart = {
  title: string;
  /** in order of their steps; step 0 is the start */
  points: ChartPoint[];
  /** cost of the reference point: its success is 0, its efficiency 0 */
  costLimit: number;
  hypervolume: number;
};

export type XY = { cost: number; success: number };

/**
 * The frontier as a line of steps, cheapest point first: at each cost the best success that this cost buys. Starts on
 * success 0 below the cheapest point and ends at costLimit. Empty when no point lies below costLimit.
 */
export function staircase(chart: FrontierChart): XY[] {
  const front = chart.points
    .filter((point) => point.onFrontier && point.cost < chart.costLimit)
    .sort((a, b) => a.cost - b.cost || b.success - a.success);
  if (front.length === 0) return [];
  const line: XY[] = [{ cost: front[0].cost, success: 0 }];
  let best = 0;
  for (const { cost, success } of front) {
    if (success <= best) continue;
    line.push({ cost, success: best }, { cost, success });
    best = success;
  }
  line.push({ cost: chart.costLimit, success: best });
  return line.filter((point, i) => i === 0 || point.cost !== line[i - 1].cost || point.success !== line[i - 1].success);
}

/** Round values (1, 2 or 5 times a power of ten apart) from 0 up to `high`, at most `most` of them. */
export function ticks(high: number, most: number): number[] {
  if (!(high > 1e-290)) return [0]; // below, a step of ticks is no normal number
  const rough = high / Math.max(1, most - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9)) ?? 10);
  return Array.from({ length: Math.floor(high / step + 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

/** The highest cost that the axis must reach so that every interval is seen; `whole` also shows the reference point. */
export function costRange(chart: FrontierChart, whole: boolean): number {
  const seen = Math.max(0, ...chart.points.map((point) => point.costHigh));
  const high = whole ? Math.max(seen, chart.costLimit) : seen * 1.1;
  return high > 0 ? high : Math.max(chart.costLimit, 1);
}
