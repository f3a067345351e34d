/** What a run came to, read from the store: the numbers that `show`, `compare`, `tune` and `demo` speak of. */
import type { PolicyPoint } from '../contract/records.ts';
import type { BeforeAfter, EvaluationRow, Summary, SummaryPoint } from '../contract/window-records.ts';
import { databasePath } from '../store/open-store.ts';
import type { Readers } from '../store/readers.ts';

export type RunSummary = Summary & { database: string };

export function summarizeRun(store: Readers & { dataFolder: string }, name: string): RunSummary {
  const { config, facts, attempts: _, ...listing } = store.getRun(name);
  const { runId } = listing;
  const { stepMs, sampledTokens } = store.stepTotals(runId);
  const stepSeconds = stepMs / 1000;

  const frontier = new Set(store.frontier(runId, 'selection').map(({ key }) => key));
  const toPoint = ({
    point: { breakdown: __, ...point },
    hypervolume,
    checkpoint,
    key,
  }: EvaluationRow): SummaryPoint => ({
    ...point,
    hypervolume,
    checkpoint: checkpoint !== null,
    onFrontier: frontier.has(key),
  });
  const of = (split: PolicyPoint['split'], sampling: PolicyPoint['sampling']) =>
    store.evaluations(runId, { split, sampling });
  const ends = (rows: EvaluationRow[]): BeforeAfter<SummaryPoint> | null =>
    rows.length < 2 ? null : { before: toPoint(rows[0]), after: toPoint(rows[rows.length - 1]) };

  const selection = of('selection', 'sampled');
  return {
    ...listing,
    database: databasePath(store.dataFolder),
    seed: config.seed,
    objectives: config.objectives,
    prices: { ...config.prices, ...store.priceChanges(runId).at(-1)?.prices },
    costLimit: facts.costLimit,
    referencePrice: facts.referencePrice,
    stepSeconds,
    tokensPerSecond: stepSeconds > 0 ? sampledTokens / stepSeconds : null,
    hypervolume:
      selection.length === 0
        ? null
        : { before: selection[0].hypervolume, after: selection[selection.length - 1].hypervolume },
    report: ends(of('report', 'sampled')),
    reportGreedy: ends(of('report', 'greedy')),
    selection: ends(selection),
    points: selection.map(toPoint),
  };
}
