import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Alternative,
  clopperPearsonInterval,
  mean,
  meanInterval,
  movingAverage,
  pairedTest,
  standardDeviation,
  type TTest,
  unbiasedMovingAverage,
  variance,
  welchTest,
  wilsonInterval,
} from '../../src-main/engine/base/statistics.ts';
import { studentCdf, studentQuantile, studentUpperTail } from '../../src-main/engine/base/student.ts';
import { type GoldenNumber, goldenFile, goldenMissing, goldenNumber } from './fixtures.ts';

type Pair = [GoldenNumber, GoldenNumber];
type TestRecord = { t: GoldenNumber; df: GoldenNumber; p: GoldenNumber; ci95: Pair; ci90: Pair };
type Tests = Record<Alternative, TestRecord>;
type Stats = {
  tests: { name: string; a: number[]; b: number[]; welch: Tests; paired?: Tests }[];
  means: { name: string; values: number[]; mean: number; sd: number; sem: number; ci: Record<string, Pair> }[];
  proportions: { k: number; n: number; wilson95: Pair; clopper_pearson95: Pair }[];
  student_t: { t: number; df: number; cdf: number; two_sided_p: number }[];
  student_t_quantiles: { p: number; df: number; t: number }[];
  ema: { gamma: number; start: number | string; values: number[]; ema: number[]; bias_corrected?: number[] }[];
};

const skip = goldenMissing('stats.json');
const stats: Stats | null = skip ? null : goldenFile<Stats>('stats.json');

/** Relative 1e-10 (scipy's own error in the far tails is of this order), absolute 1e-14 near zero. */
function close(actual: number, expected: GoldenNumber, what: string, slack = 1e-14) {
  const wanted = goldenNumber(expected);
  if (Number.isNaN(wanted) || !Number.isFinite(wanted)) return assert.equal(actual, wanted, what);
  assert.ok(Math.abs(actual - wanted) <= slack + 1e-10 * Math.abs(wanted), `${what}: ${actual}, expected ${wanted}`);
}

/**
 * What rounding of the means may change in t, an interval end or p: scipy sums the values as they are, so a large common
 * offset costs it digits (in exact rational arithmetic our t is right to all digits where scipy's is off by 8e-10).
 */
function slackOf(a: number[], b: number[]): number {
  const error = Math.sqrt(variance(a) / a.length + variance(b) / b.length);
  const largest = Math.max(...[...a, ...b].map(Math.abs));
  return 1e-14 + (error === 0 ? 0 : 8 * Number.EPSILON * largest * (1 + 1 / error));
}

const alternatives: Alternative[] = ['two-sided', 'greater', 'less'];

test("Welch's and the paired test agree with scipy for every alternative", { skip }, () => {
  const check = (
    run: (alternative: Alternative, confidence: number) => TTest,
    expected: Tests,
    name: string,
    slack: number,
  ) => {
    for (const alternative of alternatives) {
      const wanted = expected[alternative];
      const what = `${name}, ${alternative}`;
      const result = run(alternative, 0.95);
      close(result.t, wanted.t, `${what}, t`, slack);
      close(result.df, wanted.df, `${what}, df`, slack);
      close(result.p, wanted.p, `${what}, p`, slack);
      close(result.low, wanted.ci95[0], `${what}, 95 % low`, slack);
      close(result.high, wanted.ci95[1], `${what}, 95 % high`, slack);
      const narrow = run(alternative, 0.9);
      close(narrow.low, wanted.ci90[0], `${what}, 90 % low`, slack);
      close(narrow.high, wanted.ci90[1], `${what}, 90 % high`, slack);
    }
  };
  for (const { name, a, b, welch, paired } of stats!.tests) {
    const slack = slackOf(a, b);
    check((alternative, confidence) => welchTest(a, b, alternative, confidence), welch, `${name}, Welch`, slack);
    if (paired)
      check((alternative, confidence) => pairedTest(a, b, alternative, confidence), paired, `${name}, paired`, slack);
  }
});

test('means, deviations and Student intervals agree with scipy', { skip }, () => {
  for (const { name, values, mean: centre, sd, sem, ci } of stats!.means) {
    close(mean(values), centre, `${name}, mean`);
    close(standardDeviation(values), sd, `${name}, sd`);
    close(standardDeviation(values) / Math.sqrt(values.length), sem, `${name}, standard error`);
    for (const [confidence, [low, high]] of Object.entries(ci)) {
      const interval = meanInterval(values, Number(confidence));
      close(interval.low, low, `${name}, ${confidence} low`);
      close(interval.high, high, `${name}, ${confidence} high`);
    }
  }
});

test('intervals of proportions agree with scipy', { skip }, () => {
  for (const { k, n, wilson95, clopper_pearson95 } of stats!.proportions) {
    const wilson = wilsonInterval(k, n);
    close(wilson.low, wilson95[0], `${k} of ${n}, Wilson low`);
    close(wilson.high, wilson95[1], `${k} of ${n}, Wilson high`);
    const exact = clopperPearsonInterval(k, n);
    close(exact.low, clopper_pearson95[0], `${k} of ${n}, Clopper-Pearson low`);
    close(exact.high, clopper_pearson95[1], `${k} of ${n}, Clopper-Pearson high`);
  }
});

test("Student's distribution and its quantiles agree with scipy", { skip }, () => {
  for (const { t, df, cdf, two_sided_p } of stats!.student_t) {
    close(studentCdf(t, df), cdf, `cdf of ${t}, df ${df}`);
    close(2 * studentUpperTail(Math.abs(t), df), two_sided_p, `two-sided p of ${t}, df ${df}`);
  }
  for (const { p, df, t } of stats!.student_t_quantiles) close(studentQuantile(p, df), t, `quantile ${p}, df ${df}`);
});

test('moving averages agree with the reference from both starts', { skip }, () => {
  for (const { gamma, start, values, ema, bias_corrected } of stats!.ema) {
    const from = typeof start === 'number' ? start : values[0];
    movingAverage(values, gamma, from).forEach((value, i) => {
      close(value, ema[i], `gamma ${gamma} from ${start}, value ${i}`);
    });
    if (bias_corrected === undefined || start !== 0) continue;
    unbiasedMovingAverage(values, gamma).forEach((value, i) => {
      close(value, bias_corrected[i], `gamma ${gamma} without bias, value ${i}`);
    });
  }
});
