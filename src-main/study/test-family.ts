/**
 * The one family of tests of a study: for each claim and cell a paired Student test over seeds of a - factor b - margin, and
 * Holm's correction over all of them. A test is made when all its pairs are there, and not before: whoever looks at each pair
 * as it comes stops at the lucky one. Until then it counts in the correction with p = 1, so that what is published early is not
 * easier to show than what is published complete; a corrected p can only fall when the rest comes.
 */
import { startMethod, type Study, type StudyRun, type StudyTest } from '../contract/study.ts';
import { holm, pairedTest } from '../engine/base/statistics.ts';
import type { SeedRun } from './summarize.ts';

export type PlannedTest = Omit<StudyTest, 'cells'> & {
  cell: string;
  /** pairs of runs on the same seed that are there, and that the study plans */
  n: number;
  planned: number;
  /** mean over seeds of a - factor b - margin, with its two-sided 95 % interval; null for fewer than two pairs */
  difference: number | null;
  low: number | null;
  high: number | null;
  p: number | null;
  pHolm: number | null;
  /** `shown`: p after correction below 0.05. `against`: the interval lies wholly on the other side. `open`: neither. `not yet`: pairs are missing */
  verdict: 'shown' | 'against' | 'open' | 'not yet';
};

type Find = (cell: string, variant: string, method: string) => SeedRun[];

/** All planned tests, those without data included. `runs` are those of the whole plan. */
export function testFamily(study: Study, runs: readonly StudyRun[], find: Find): PlannedTest[] {
  const tests = study.tests.flatMap(({ cells, ...test }) =>
    cells.map((cell) => {
      const planned = plannedPairs(test, cell, runs);
      const made = result(test, cell, find);
      return { ...test, cell, planned, ...made, p: made.n < planned ? null : made.p };
    }),
  );
  const corrected = holm(tests.map(({ p }) => p ?? 1));
  return tests.map((test, i) => {
    const pHolm = test.p === null ? null : corrected[i];
    return { ...test, pHolm, verdict: verdictOf(test, pHolm) };
  });
}

/** Seeds on which the plan has both sides. */
function plannedPairs({ a, b, variant }: Omit<StudyTest, 'cells'>, cell: string, runs: readonly StudyRun[]): number {
  const seedsOf = (method: string, other: string) =>
    runs
      .filter((run) => run.cell === cell && run.variant === variant)
      .filter((run) => run.method === (method === startMethod ? other : method))
      .map(({ seed }) => seed);
  const others = new Set(seedsOf(b, a));
  return seedsOf(a, b).filter((seed) => others.has(seed)).length;
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
  if (pHolm === null) return 'not yet';
  if (pHolm < 0.05) return 'shown';
  if (alternative === 'greater' && high !== null && high < 0) return 'against';
  if (alternative === 'less' && low !== null && low > 0) return 'against';
  return 'open';
}
