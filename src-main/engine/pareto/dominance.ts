/** The order that everything in this folder rests on. Points are vectors of objectives, all maximised. */

/** Whether `a` is at least as good as `b` in every objective: true for equal points. */
export function covers(a: readonly number[], b: readonly number[]): boolean {
  for (let k = 0; k < b.length; k++) if (!(a[k] >= b[k])) return false;
  return true;
}

/** Whether `a` is at least as good as `b` in every objective and better in one: false for equal points. */
export function dominates(a: readonly number[], b: readonly number[]): boolean {
  return covers(a, b) && !covers(b, a);
}
