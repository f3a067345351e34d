/**
 * The one family of tests of a study: for each claim and cell a paired Student test over seeds of a - factor b - margin, and
 * Holm's correction over all of them. A test that cannot be made yet counts in the correction with p = 1: what is published
 * early is not easier to show than what is published complete.
 */
import { startMethod, type Study, type StudyTest } from '../contract/study.ts';
import { holm, pairedTest } from '../engine/base/statistics.ts';
import type { SeedRun } from './summarize.ts';

export type PlannedTest = Omit<StudyTest, 'cells'> & {
  cell: string;
  /** pairs of runs on the same seed */
  n: number;
  /** mean over seeds of a - factor b - margin, with its two-sided 95 % interval; null for fewer than two pairs */
  difference: number | null;
  low: number | null;
  high: number | null;
  p: number | null;
  pHolm: number | null;
  /** `shown`: p after correction below 0.05. `against`: the interval lies wholly on the other side. `open`: neither */
  verdict: 'shown' | 'against' | 'open' | 'not run';
};

type Find = (cell: string, variant: string, method: string) => SeedRun[];

/** All planned tests, those without data included. */
export function testFamily(study: Study, find: Find): PlannedTest[] {
  const tests = study.tests.flatMap(({ cells, ...test }) =>
    cells.map((cell) => ({ ...test, cell, ...result(test, cell, find) })),
  );
  const corrected = holm(tests.map(({ p }) => p ?? 1));
  return tests.map((test, i) => {
    const pHolm = test.p === null ? null : corrected[i];
    return { ...test, pHolm, verdict: verdictOf(test, pHolm) };
  });
}

function result(test: Omit<StudyTest, 'cells'>, cell: string, find: Find) {
  const { metric, factor, margin, alternative, variant } = test;
  const valueIn = (method: string, { last, start }: SeedRun) => (method === startMethod ? start : last)[metric];
  // the start policy is in every run: that of the other side, so that both are of the same seed
  const runsOf = (method: string, other: string) => find(cell, variant, method === startMethod ? other : method);
  const others = new Map(runsOf(test.b, test.a).map((run) => [run.seed, valueIn(test.b, run)]));
  const pairs = runsOf(test.a, test.b).flatMap((run) => {
    const [a, b] = [valueIn(test.a, run), others.get(run.seed) ?? null];
    return a === null || b === null ? [] : [{ a, b: factor * b + margin }];
  });
  const n = pairs.length;
  if (n < 2) return { n, difference: null, low: null, high: null, p: null };
  const [a, b] = [pairs.map((pair) => pair.a), pairs.map((pair) => pair.b)];
  const { difference, low, high } = pairedTest(a, b);
  const { p } = pairedTest(a, b, alternative);
  // no spread and no difference: nothing speaks against equality
  return { n, difference, low, high, p: Number.isNaN(p) ? 1 : p };
}

function verdictOf(
  { alternative, low, high }: Pick<PlannedTest, 'alternative' | 'low' | 'high'>,
  pHolm: number | null,
): PlannedTest['verdict'] {
  if (pHolm === null) return 'not run';
  if (pHolm < 0.05) return 'shown';
  if (alternative === 'greater' && high !== null && high < 0) return 'against';
  if (alternative === 'less' && low !== null && low > 0) return 'against';
  return 'open';
}
