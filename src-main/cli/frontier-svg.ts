/**
 * A run's success against cost as one standalone SVG: points with their intervals, the frontier, the hypervolume's area,
 * the start and the reference point. Follows the reader's light or dark setting; holds no script and refers to nothing.
 */
import { costRange, type FrontierChart, staircase, ticks } from './frontier-chart.ts';
import { frontierSummary } from './frontier-plot.ts';
import { cost, percent } from './table.ts';

const width = 720;
const height = 440;
const area = { left: 64, right: 700, top: 48, bottom: 384 };

const style = `
  svg { --ink: #1b1f24; --soft: #6b7280; --grid: #e5e7eb; --paper: #ffffff; --accent: #0b6bcb; --start: #b45309; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6e8eb; --soft: #9aa1ab; --grid: #2c323a; --paper: #14171b; --accent: #5eb0ff; --start: #f0a35e; }
  }
  text { font: 12px system-ui, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
  .title { font-size: 15px; font-weight: 600; fill: var(--ink); }
  .grid { stroke: var(--grid); }
  .interval { stroke: var(--soft); stroke-opacity: 0.5; }
  .area { fill: var(--accent); fill-opacity: 0.1; }
  .front { fill: none; stroke: var(--accent); stroke-width: 1.5; }
  .dominated { fill: var(--paper); stroke: var(--soft); }
  .frontier { fill: var(--accent); stroke: var(--paper); }
  .start { stroke: var(--start); stroke-width: 2; }
  .paper { fill: var(--paper); }
  .reference { fill: none; stroke: var(--ink); }
`;

/** The text of an SVG file, 720 x 440. */
export function frontierSvg(chart: FrontierChart): string {
  const high = costRange(chart, true) * 1.04;
  const x = (value: number) => round(area.left + (value / high) * (area.right - area.left));
  const y = (success: number) => round(area.bottom - success * (area.bottom - area.top));

  const grid = [
    ...ticks(high, 9).map((tick) => {
      const text = `<text x="${x(tick)}" y="${area.bottom + 18}" text-anchor="middle">${tick === 0 ? '0' : cost(tick)}</text>`;
      return `<path class="grid" d="M${x(tick)} ${area.top}V${area.bottom}"/>${text}`;
    }),
    ...[0, 0.25, 0.5, 0.75, 1].map((share) => {
      const text = `<text x="${area.left - 8}" y="${y(share) + 4}" text-anchor="end">${Math.round(100 * share)} %</text>`;
      return `<path class="grid" d="M${area.left} ${y(share)}H${area.right}"/>${text}`;
    }),
  ];

  const line = staircase(chart);
  const steps = line.map((point, i) => `${i === 0 ? 'M' : 'L'}${x(point.cost)} ${y(point.success)}`).join('');
  const front =
    line.length > 0
      ? `<path class="area" d="${steps}L${x(chart.costLimit)} ${y(0)}Z"/><path class="front" d="${steps}"/>`
      : '';

  const intervals = chart.points.map(
    (point) =>
      `<path class="interval" d="M${x(point.cost)} ${y(point.successLow)}V${y(point.successHigh)}M${x(point.costLow)} ${y(point.success)}H${x(point.costHigh)}"/>`,
  );
  const marks = [...chart.points]
    .sort((a, b) => Number(a.onFrontier) - Number(b.onFrontier))
    .map((point) => {
      const [px, py] = [x(point.cost), y(point.success)];
      const title = `<title>step ${point.step}: ${percent(point.success)} (${percent(point.successLow)} to ${percent(point.successHigh)}), cost ${cost(point.cost)}</title>`;
      if (point.step === 0) {
        return `<path class="start" d="M${px - 5} ${py - 5}l10 10m0 -10l-10 10">${title}</path>`;
      }
      const kind = point.onFrontier ? 'frontier' : 'dominated';
      return `<circle class="${kind}" cx="${px}" cy="${py}" r="${point.onFrontier ? 4.5 : 3}">${title}</circle>`;
    });
  const [rx, ry] = [x(chart.costLimit), y(0)];
  const reference = `<path class="reference" d="M${rx} ${ry - 5}l5 5l-5 5l-5 -5z"><title>reference point: success 0, cost ${cost(chart.costLimit)}</title></path>`;

  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(frontierSummary(chart))}">
<title>${escapeXml(chart.title)}</title>
<style>${style}</style>
<rect width="${width}" height="${height}" class="paper"/>
<text class="title" x="${area.left}" y="26">${escapeXml(chart.title)}</text>
<text x="${area.right}" y="26" text-anchor="end">hypervolume ${chart.hypervolume.toFixed(3)}</text>
${grid.join('\n')}
${front}
${intervals.join('\n')}
${marks.join('\n')}
${reference}
<text x="${area.right}" y="${area.bottom + 36}" text-anchor="end">cost a problem</text>
<text x="${area.left}" y="${area.top - 8}">success</text>
<text x="${area.left}" y="${height - 14}">× start   ● frontier   ○ dominated   ◇ reference point   bars: 95 % intervals</text>
</svg>
`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
