/** Keys that move through rows: j, k and the arrows. The row that is chosen has the focus. */

/** The row chosen after a key, focused through `focus`; keys that do not move leave it as it is. */
export function moveSelection(event: KeyboardEvent, chosen: number, count: number, focus: (i: number) => void): number {
  if (event.ctrlKey || event.metaKey || event.altKey || count === 0) return chosen;
  const last = count - 1;
  const target = { j: chosen + 1, ArrowDown: chosen + 1, k: chosen - 1, ArrowUp: chosen - 1, Home: 0, End: last }[event.key];
  if (target === undefined) return chosen;
  event.preventDefault();
  const next = Math.max(0, Math.min(last, target));
  focus(next);
  return next;
}
