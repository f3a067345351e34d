/**
 * Fewer points for the same picture: of a line with more points than pixels, what each pixel column spans. Of every column the
 * rows stay in which a series is least or greatest, and the first and the last row, so that no spike and no gap in height is
 * lost; every point that is left is one that was logged. (The idea is the M4 aggregation of Jugel et al., VLDB 2014, without
 * its first and last point of each column.) Pure.
 */
export type Thinned = { steps: number[]; values: (number | null)[][] };

/** Rows of `steps` (ascending) and of each series beside it, at most 2 * series * columns + 2 of them. */
export function thin(steps: number[], series: (number | null)[][], columns: number): Thinned {
  const first = steps[0];
  const span = steps[steps.length - 1] - first;
  if (steps.length <= 2 * columns || span <= 0) return { steps, values: series };
  const kept = new Uint8Array(steps.length);
  kept[0] = 1;
  kept[steps.length - 1] = 1;
  for (const values of series) {
    let column = -1;
    let least = -1;
    let greatest = -1;
    for (let i = 0; i < steps.length; i++) {
      const value = values[i];
      if (value === null) continue;
      const here = Math.min(columns - 1, Math.floor(((steps[i] - first) / span) * columns));
      if (here !== column) {
        if (least >= 0) kept[least] = kept[greatest] = 1;
        column = here;
        least = greatest = i;
      } else {
        if (value < (values[least] ?? value)) least = i;
        if (value > (values[greatest] ?? value)) greatest = i;
      }
    }
    if (least >= 0) kept[least] = kept[greatest] = 1;
  }
  const rows: number[] = [];
  for (let i = 0; i < kept.length; i++) if (kept[i] === 1) rows.push(i);
  return { steps: rows.map((i) => steps[i]), values: series.map((values) => rows.map((i) => values[i])) };
}
