/**
 * Several small line charts side by side in one standalone SVG, with one legend: how methods develop, and where their policies
 * lie. Follows the reader's light or dark setting; lines differ in dashes as well as in colour; holds no script and refers to
 * nothing. What is drawn is decided elsewhere.
 */

export type ChartLine = {
  name: string;
  points: { x: number; y: number }[];
  /** a mark, with its 95 % intervals where there are any */
  end?: { x: number; y: number; xInterval?: Range | null; yInterval?: Range | null };
};

type Range = { low: number; high: number };

/** `yMost`: what y cannot exceed, such as 1 for a share; intervals are cut off there and at 0 */
export type ChartPanel = { title: string; xLabel: string; yLabel: string; yMost?: number; lines: ChartLine[] };

const panel = { width: 350, height: 260, left: 52, right: 14, top: 34, bottom: 40 };
const columnsAtMost = 2;

/** Colours of Okabe and Ito, told apart by most eyes, with their dark-mode twins; more lines than these differ by dash. */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#8a6d00', '#56b4e9', '#6b7280', '#a83232'];
const dashes = ['', '6 3', '2 2', '8 3 2 3'];

const style = `
  svg { --ink: #1b1f24; --soft: #6b7280; --grid: #e5e7eb; --paper: #ffffff; }
  @media (prefers-color-scheme: dark) { svg { --ink: #e6e8eb; --soft: #9aa1ab; --grid: #2c323a; --paper: #14171b; } }
  text { font: 11px system-ui, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
  .title { font-size: 13px; font-weight: 600; fill: var(--ink); }
  .grid { stroke: var(--grid); fill: none; }
  .line { fill: none; stroke-width: 1.6; }
  .paper { fill: var(--paper); }`;

/** The SVG. Panels without a point say so. Colours follow the names' order of first appearance. */
export function chartPanels(title: string, panels: readonly ChartPanel[]): string {
  const names = [...new Set(panels.flatMap(({ lines }) => lines.map(({ name }) => name)))];
  const columns = Math.min(columnsAtMost, Math.max(1, panels.length));
  const rows = Math.ceil(panels.length / columns);
  const legendRows = Math.ceil(names.length / (columns * 2));
  const width = columns * panel.width;
  const top = 30;
  const height = top + rows * panel.height + legendRows * 18 + 14;
  const body = panels.map((one, i) => {
    const x = (i % columns) * panel.width;
    const y = top + Math.floor(i / columns) * panel.height;
    return `<g transform="translate(${x} ${y})">${drawPanel(one, names)}</g>`;
  });
  const legend = names.map((name, i) => {
    const x = 16 + (i % (columns * 2)) * (width / (columns * 2));
    const y = top + rows * panel.height + 14 + Math.floor(i / (columns * 2)) * 18;
    return `<path class="line" ${look(i)} d="M${round(x)} ${y - 4}h22"/><text x="${round(x + 28)}" y="${y}">${escapeXml(name)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(describe(title, panels))}">
<title>${escapeXml(title)}</title>
<style>${style}</style>
<rect width="${width}" height="${height}" class="paper"/>
<text class="title" x="16" y="20">${escapeXml(title)}</text>
${body.join('\n')}
${legend.join('\n')}
</svg>
`;
}

function drawPanel({ title, xLabel, yLabel, yMost, lines }: ChartPanel, names: readonly string[]): string {
  const { width, height, left, right, top, bottom } = panel;
  const heading = `<text class="title" x="${left}" y="16">${escapeXml(title)}</text>`;
  const ends = lines.flatMap(({ end }) => (end === undefined ? [] : [end]));
  const points = [...lines.flatMap((line) => line.points), ...ends].filter(({ x, y }) => Number.isFinite(x + y));
  if (points.length === 0) return `${heading}<text x="${left}" y="${height / 2}">nothing measured</text>`;
  const cut = ({ low, high }: Range, most = high): Range => ({ low: Math.max(0, low), high: Math.min(most, high) });
  const across = ends.flatMap(({ xInterval }) => (xInterval ? Object.values(cut(xInterval)) : []));
  const upright = ends.flatMap(({ yInterval }) => (yInterval ? Object.values(cut(yInterval, yMost)) : []));
  const xs = axis([...points.map(({ x }) => x), ...across]);
  const ys = axis([...points.map(({ y }) => y), ...upright], yMost);
  const px = (x: number) => round(left + ((x - xs.low) / (xs.high - xs.low)) * (width - left - right));
  const py = (y: number) => round(height - bottom - ((y - ys.low) / (ys.high - ys.low)) * (height - top - bottom));
  const grid = [
    ...xs.ticks.map((tick) => `<text x="${px(tick)}" y="${height - bottom + 15}" text-anchor="middle">${tick}</text>`),
    ...ys.ticks.map(
      (tick) =>
        `<path class="grid" d="M${left} ${py(tick)}H${width - right}"/><text x="${left - 6}" y="${py(tick) + 4}" text-anchor="end">${tick}</text>`,
    ),
  ];
  const drawn = lines.map(({ name, points: own, end }) => {
    const at = look(names.indexOf(name));
    const known = own.filter(({ x, y }) => Number.isFinite(x + y));
    const path = known.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${px(x)} ${py(y)}`).join('');
    const [wide, tall] = [end?.xInterval && cut(end.xInterval), end?.yInterval && cut(end.yInterval, yMost)];
    const bars = [
      end && wide ? `M${px(wide.low)} ${py(end.y)}H${px(wide.high)}` : '',
      end && tall ? `M${px(end.x)} ${py(tall.low)}V${py(tall.high)}` : '',
    ].join('');
    const mark =
      end === undefined
        ? ''
        : `<circle stroke="${colourOf(names.indexOf(name))}" fill="var(--paper)" stroke-width="2" cx="${px(end.x)}" cy="${py(end.y)}" r="3.5"/>`;
    return `${[path, bars].map((d) => (d === '' ? '' : `<path class="line" ${at} d="${d}"/>`)).join('')}${mark}`;
  });
  return `${heading}${grid.join('')}${drawn.join('')}<text x="${width - right}" y="${height - bottom + 30}" text-anchor="end">${escapeXml(xLabel)}</text><text x="${left}" y="${top - 6}">${escapeXml(yLabel)}</text>`;
}

/** A range of round numbers around the values, with its ticks; none above `most`. */
export function axis(values: readonly number[], most?: number): { low: number; high: number; ticks: number[] } {
  const [smallest, largest] = [Math.min(...values), Math.max(...values)];
  // below 1e-9 there is no difference that a picture could show
  const width = largest - smallest;
  const span = width > 1e-9 ? width : Math.max(Math.abs(largest), 1e-9);
  const power = 10 ** Math.floor(Math.log10(span / 4));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= (span / 4) * (1 - 1e-9))!;
  const cut = most !== undefined && largest <= most;
  const first = Math.min(
    Math.floor(smallest / step + 1e-9),
    cut ? Math.ceil(most / step) - 1 : Number.POSITIVE_INFINITY,
  );
  const last = Math.max(first + 1, Math.ceil(largest / step - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  if (cut && ticks[ticks.length - 1] > most) ticks[ticks.length - 1] = most;
  return { low: ticks[0], high: ticks[ticks.length - 1], ticks };
}

function look(i: number): string {
  const dash = dashes[Math.floor(i / colours.length) % dashes.length] || dashes[i % dashes.length];
  return `stroke="${colourOf(i)}"${dash === '' ? '' : ` stroke-dasharray="${dash}"`}`;
}

function colourOf(i: number): string {
  return colours[i % colours.length];
}

function describe(title: string, panels: readonly ChartPanel[]): string {
  return `${title}: ${panels.map(({ title: one, lines }) => `${one}, ${lines.length} lines`).join('; ')}`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
