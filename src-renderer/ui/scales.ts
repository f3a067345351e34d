/** Scales and ticks of the charts, and numbers as people read them. Pure. */

/** A straight map from domain to range; a domain of no width maps to the middle. */
export function linearScale([d0, d1]: [number, number], [r0, r1]: [number, number]): (value: number) => number {
  const span = d1 - d0;
  return (value) => (span === 0 ? (r0 + r1) / 2 : r0 + ((value - d0) / span) * (r1 - r0));
}

/** Round values between two ends, about `count` of them: multiples of 1, 2 or 5 times a power of ten. */
export function ticks(low: number, high: number, count: number): number[] {
  if (!(high > low) || count < 1) return [low];
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999) ?? 10 * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** From the least to the greatest value with a share of room on both sides, held within [min, max] where those are given. */
export function paddedDomain(values: readonly number[], share = 0.06, min = -Infinity, max = Infinity): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [Math.max(0, min), Math.min(1, max)];
  const room = (high - low || Math.abs(high) || 1) * share;
  return [Math.max(min, low - room), Math.min(max, high + room)];
}

const fixed = [0, 1, 2, 3, 4].map((digits) => {
  return new Intl.NumberFormat('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
});

/** `0.812`, `12,345`: so many digits after the point; a dash where there is no number. */
export function formatNumber(value: number | null | undefined, digits = 2): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (value !== 0 && Math.abs(value) < 0.5 * 10 ** -digits) return value.toExponential(1);
  return fixed[digits].format(value);
}

/** `81.4 %` */
export function formatPercent(value: number | null | undefined, digits = 1): string {
  return value === null || value === undefined || Number.isNaN(value) ? '–' : `${fixed[digits].format(value * 100)} %`;
}

/** `-54 %`, `+3 %` against a base; empty where the base is 0. */
export function formatChange(value: number, base: number): string {
  if (base === 0) return '';
  const change = Math.round((value / base - 1) * 100);
  return `${change > 0 ? '+' : ''}${change} %`;
}

/** `1.9 s`, `4 min`, `2 h 10 min` */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

/** `3.2 MB` */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${fixed[power === 0 ? 0 : 1].format(bytes / 1000 ** power)} ${units[power]}`;
}

/** A file or folder as a person reads it: the name in a handle; other text as it is. */
export function nameOfHandle(text: string): string {
  return text.replace(/handle:[^/\s,]*\//g, '');
}

/** Sixteen letters and digits are no name: the last part of a model's name. */
export function shortModel(model: string): string {
  return model.split(/[:/\\]/).at(-1) || model;
}
