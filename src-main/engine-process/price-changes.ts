/** Prices that the user sets while a run computes, until the run takes them between two steps. */

const waiting = new Map<string, Record<string, number>>();

/** Later prices of the same tool replace earlier ones. */
export function setPrices(runId: string, prices: Record<string, number>): void {
  waiting.set(runId, { ...waiting.get(runId), ...prices });
}

/** What was set since the last call, or null. */
export function takePrices(runId: string): Record<string, number> | null {
  const prices = waiting.get(runId) ?? null;
  waiting.delete(runId);
  return prices;
}
