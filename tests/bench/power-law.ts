/** Times against sizes, as a table with the exponent of the power law that fits each row. */

/** One row: what was measured, in milliseconds, for each size. */
export type Row = { name: string; ms: number[] };

/** b of ms = a size^b, by least squares of the logarithms. */
export function exponent(at: readonly number[], ms: readonly number[]): number {
  const points = at.map((size, i) => [Math.log(size), Math.log(Math.max(ms[i], 0.01))]);
  const mean = (k: number) => points.reduce((sum, point) => sum + point[k], 0) / points.length;
  const [mx, my] = [mean(0), mean(1)];
  const over = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  return over / points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
}

export function powerTable(head: string[], rows: Row[], at: readonly number[]): string {
  const show = (ms: number) =>
    ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : Math.round(ms).toLocaleString('en');
  return [
    `| ${head.join(' | ')} | exponent |`,
    `|${' --- |'.repeat(head.length + 1)}`,
    ...rows.map(({ name, ms }) => `| ${name} | ${ms.map(show).join(' | ')} | ${exponent(at, ms).toFixed(2)} |`),
  ].join('\n');
}
