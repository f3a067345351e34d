/** Plain aligned tables for a terminal, and the number formats that all commands share. */

export type Column = {
  title: string;
  align?: 'left' | 'right';
};

/** Rows of text under their titles, two spaces apart, without a frame. Ends without a newline. */
export function table(columns: Column[], rows: string[][]): string {
  const lines = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => width(line[i] ?? ''))));
  return lines
    .map((line) =>
      columns
        .map(({ align }, i) => {
          const text = line[i] ?? '';
          const space = ' '.repeat(widths[i] - width(text));
          return align === 'right' ? space + text : text + space;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Characters as a reader counts them; wide scripts are not measured. */
function width(text: string): number {
  return [...text].length;
}

/** 0.8142 -> `81.4 %` */
export function percent(share: number): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : '-';
}

/** An interval of shares: `81.4 % (79.0-83.6)`. */
export function percentWithInterval(share: number, low: number, high: number): string {
  return `${percent(share)} (${(100 * low).toFixed(1)}-${(100 * high).toFixed(1)})`;
}

/** A cost in the user's unit: three significant digits, no exponent for everyday sizes. */
export function cost(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value === 0) return '0';
  const magnitude = Math.abs(value);
  if (magnitude >= 1e6 || magnitude < 1e-3) return value.toExponential(2);
  return value.toFixed(magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 0.1 ? 2 : 4);
}

/** How much b differs from a, in percent of a: `-54 %`; `-` where a is 0. */
export function change(a: number, b: number): string {
  if (a === 0 || !Number.isFinite(a) || !Number.isFinite(b)) return '-';
  const share = Math.round((100 * (b - a)) / a);
  return `${share > 0 ? '+' : ''}${share} %`;
}

/** Whole numbers with separators: `12,340`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A span of time as a person says it: `45 s`, `4 min`, `2 h 10 min`. */
export function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A size in bytes: `14.2 MB`. */
export function bytes(size: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = size;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}
