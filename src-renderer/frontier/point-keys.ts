/** The keys of a chart's points: which one they go to, and which one is chosen or opened. */

export type PointKeys = {
  /** of all points, in their order */
  steps: readonly number[];
  select(step: number): void;
  open?(step: number): void;
  /** called after the point was selected */
  focus(step: number): void;
};

/** Arrows go to the next point and back, Home and End to the ends; Space selects, Enter opens as well. */
export function onPointKey(event: KeyboardEvent, i: number, { steps, select, open, focus }: PointKeys): void {
  const move = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  const target = event.key === 'Home' ? 0 : event.key === 'End' ? steps.length - 1 : move ? i + move : null;
  if (event.key === 'Enter' || event.key === ' ') {
    select(steps[i]);
    if (event.key === 'Enter') open?.(steps[i]);
  } else if (target !== null && steps[target] !== undefined) {
    select(steps[target]);
    focus(steps[target]);
  } else return;
  event.preventDefault();
}

/** The one point that Tab reaches: the selected one, else the first. */
export function focusablePoint(steps: readonly number[], selected: number | null): number | undefined {
  return selected !== null && steps.includes(selected) ? selected : steps[0];
}
