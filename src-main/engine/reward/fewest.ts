/**
 * N_optimal of the paper: the fewest calls with which a problem was ever solved. Here: the least normalized cost, and
 * beside it the fewest tokens. Kept for the whole run, never rising, part of every checkpoint.
 *
 * 1. The round at hand counts before it is scored, so that no success has spent less than the minimum.
 * 2. A lucky guess latches: one right answer without a call makes 0 "optimal" for that problem for ever. That is the
 *    paper's rule, and one reason why cheap failures must not be rewarded (advantage/hvg.ts).
 * 3. A minimum is in the prices of its day: when prices change, go on from an empty table.
 */

/** The objectives of a run that reward spending little: on calls, on tokens. */
export type Spending = 'tool' | 'length';

/** What one trajectory spent, in units of the run's reference price and reference length. */
export type Spent = Record<Spending, number>;

/** For each spending: problem id -> the least of it among that problem's successes so far. Plain JSON. */
export type FewestTable = Record<Spending, Record<string, number>>;

/** The table of a run that has not solved anything yet. */
export function emptyFewest(): FewestTable {
  return { tool: {}, length: {} };
}

/** The least a solved problem needed, or undefined while it is unsolved. */
export function fewestOf(table: FewestTable, spending: Spending, problemId: string): number | undefined {
  return Object.hasOwn(table[spending], problemId) ? table[spending][problemId] : undefined;
}

/** The table after these successes; the one given is left as it is. */
export function withSuccesses(
  table: FewestTable,
  successes: readonly { problemId: string; spent: Spent }[],
): FewestTable {
  const updated = (spending: Spending) => {
    const least = new Map(Object.entries(table[spending]));
    for (const { problemId, spent } of successes) {
      least.set(problemId, Math.min(spent[spending], least.get(problemId) ?? Number.POSITIVE_INFINITY));
    }
    return Object.fromEntries(least);
  };
  return { tool: updated('tool'), length: updated('length') };
}
