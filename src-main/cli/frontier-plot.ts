/** A run's success against cost as a plot of plain characters for a terminal. */
import { type ChartPoint, costRange, type FrontierChart, staircase, ticks } from './frontier-chart.ts';
import { cost, percent } from './table.ts';

export type PlotSize = { columns: number; rows: number };

const marks = { dominated: '.', line: '-', rise: '|', frontier: 'o', start: 'x' };

/** Lines of at most `columns` characters. The axes reach as far as the points do, not to the reference point. */
export function frontierPlot(chart: FrontierChart, { columns, rows }: PlotSize = { columns: 72, rows: 16 }): string {
  const left = 7; // room for `100 % |`
  const width = Math.max(20, columns - left - 1);
  const height = Math.max(5, rows);
  const high = costRange(chart, false);
  const grid = Array.from({ length: height }, () => new Array<string>(width).fill(' '));

  const column = (value: number) => Math.min(width - 1, Math.round((value / high) * (width - 1)));
  const row = (success: number) => height - 1 - Math.round(success * (height - 1));
  const put = ({ cost: x, success }: Pick<ChartPoint, 'cost' | 'success'>, mark: string) => {
    grid[row(success)][column(x)] = mark;
  };

  const line = staircase(chart);
  for (let i = 1; i < line.length; i++) {
    const [from, to] = [line[i - 1], line[i]];
    if (from.cost > high) break;
    if (from.cost === to.cost) {
      for (let y = row(to.success); y <= row(from.success); y++) grid[y][column(to.cost)] = marks.rise;
    } else {
      for (let x = column(from.cost); x <= column(Math.min(to.cost, high)); x++)
        grid[row(from.success)][x] = marks.line;
    }
  }
  // later marks cover earlier ones: dominated points, then the frontier, then the start
  for (const point of chart.points) if (!point.onFrontier) put(point, marks.dominated);
  for (const point of chart.points) if (point.onFrontier) put(point, marks.frontier);
  for (const point of chart.points) if (point.step === 0) put(point, marks.start);

  const labels = new Map([1, 0.75, 0.5, 0.25, 0].map((share) => [row(share), `${Math.round(share * 100)} %`]));
  const body = grid.map(
    (cells, y) => `${(labels.get(y) ?? '').padStart(5)} ${labels.has(y) ? '+' : '|'}${cells.join('').trimEnd()}`,
  );
  const axis = `${' '.repeat(6)}+${'-'.repeat(width)}`;
  const scale = new Array<string>(width + left).fill(' ');
  for (const tick of ticks(high, Math.floor(width / 12))) {
    const text = tick === 0 ? '0' : cost(tick);
    const at = left + column(tick);
    if (at + text.length <= scale.length) scale.splice(at, text.length, ...text);
  }
  const legend = `success up, cost a problem right   ${marks.start} start  ${marks.frontier} frontier  ${marks.dominated} dominated   hypervolume ${chart.hypervolume.toFixed(3)}`;
  return [chart.title, ...body, axis, scale.join('').trimEnd(), legend].join('\n');
}

/** One sentence that says what the picture shows, for those who do not see it. */
export function frontierSummary(chart: FrontierChart): string {
  const front = chart.points.filter((point) => point.onFrontier).sort((a, b) => a.cost - b.cost);
  if (front.length === 0) return 'No policy has been measured yet.';
  const [cheapest] = front;
  const best = front.reduce((a, b) => (b.success > a.success ? b : a));
  const point = (p: ChartPoint) => `${percent(p.success)} success at cost ${cost(p.cost)} (step ${p.step})`;
  if (cheapest === best) return `One point dominates all others: ${point(best)}.`;
  return `The frontier has ${front.length} points, from ${point(cheapest)} to ${point(best)}.`;
}
