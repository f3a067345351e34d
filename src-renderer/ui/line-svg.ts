/** Lines over steps as an SVG document of its own: what the canvas of a small chart shows, for a file. Pure. */
import { formatNumber, formatPercent, linearScale, paddedDomain, ticks } from './scales.ts';

export type LineSeries = { label: string; color: string; values: (number | null)[]; points?: boolean };
export type LinePicture = {
  title: string;
  steps: readonly number[];
  /** colours as a file needs them: resolved, no variables */
  series: readonly LineSeries[];
  /** first step of stage 2, or null */
  boundary: number | null;
  percent: boolean;
  ink: string;
  paper: string;
};

const size = { width: 480, height: 240, left: 52, right: 12, top: 28, bottom: 40 };

/** The picture as text. Values that are null leave a gap in the marks, not in the line, as on the screen. */
export function lineSvg({ title, steps, series, boundary, percent, ink, paper }: LinePicture): string {
  const values = series.flatMap((line) => line.values).filter((value) => value !== null);
  const domain = paddedDomain(values, 0.08);
  const ends: [number, number] = [steps[0] ?? 0, steps[steps.length - 1] ?? 1];
  const x = linearScale(ends, [size.left, size.width - size.right]);
  const y = linearScale(domain, [size.height - size.bottom, size.top]);
  const show = (value: number) => (percent ? formatPercent(value, 0) : formatNumber(value, Math.abs(value) < 10 ? 2 : 0));
  const at = (px: number, py: number) => `${px.toFixed(1)} ${py.toFixed(1)}`;
  const text = (px: number, py: number, anchor: string, content: string, fill = ink) =>
    `<text x="${px.toFixed(1)}" y="${py.toFixed(1)}" text-anchor="${anchor}" fill="${fill}">${escaped(content)}</text>`;
  const known = (line: LineSeries) =>
    line.values.flatMap((value, i): [number, number][] => (value === null ? [] : [[x(steps[i]), y(value)]]));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" width="${size.width}" height="${size.height}" font-family="sans-serif" font-size="11">`,
    `<rect width="100%" height="100%" fill="${paper}"/>`,
    text(size.left, 16, 'start', title),
    ...ticks(...domain, 5).flatMap((value) => [
      `<path d="M${at(size.left, y(value))}H${size.width - size.right}" stroke="${ink}" stroke-opacity="0.2"/>`,
      text(size.left - 6, y(value) + 4, 'end', show(value)),
    ]),
    ...ticks(...ends, 6).map((step) => text(x(step), size.height - size.bottom + 15, 'middle', String(step))),
    boundary === null || boundary < ends[0] || boundary > ends[1]
      ? ''
      : `<path d="M${at(x(boundary), size.top)}V${size.height - size.bottom}" stroke="${ink}" stroke-dasharray="4 4"/>`,
    ...series.map((line) => {
      const d = known(line).map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${at(px, py)}`).join('');
      return `<path d="${d}" fill="none" stroke="${line.color}" stroke-width="1.5"/>`;
    }),
    ...series
      .filter(({ points }) => points)
      .flatMap((line) => known(line).map(([px, py]) => `<circle cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="2.5" fill="${line.color}"/>`)),
    ...series.map(({ label, color }, i) => text(size.left + i * 110, size.height - 8, 'start', label, color)),
    '</svg>',
  ].join('');
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);
}
