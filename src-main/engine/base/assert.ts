/** An invariant of ours: when it breaks, Paretune has a bug. Bad input is a ParetuneError instead. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`internal: ${message}`);
}
