/**
 * Every statistic that decides an advantage or is published: means, deviations, averages, intervals, tests. Not a
 * statistics library: nothing is here that nobody calls for. The distributions are in student.ts.
 *
 * Sources: Wilson 1927; Clopper and Pearson 1934; Welch 1947 (degrees of freedom by Satterthwaite); Holm 1979. Numbers
 * agree with scipy 1.x, also in its degenerate cases, which are said where they happen.
 */
import { assert } from './assert.ts';
import { betaQuantile, normalQuantile, studentQuantile, studentUpperTail } from './student.ts';

export type Interval = { low: number; high: number };

/** Sum of finite values, rounded once (Neumaier's compensated summation): hardly depends on their order. */
export function sum(values: readonly number[]): number {
  let total = 0;
  let lost = 0;
  for (const value of values) {
    const next = total + value;
    lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
  }
  return total + lost;
}

/**
 * Arithmetic mean of finite values; NaN for no values. Equal values have exactly their own value as mean, so that a group
 * without spread gets no signal from rounding; equal success rates are equal numbers, so that archives see them as equal.
 */
export function mean(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  return values.every((value) => value === values[0]) ? values[0] : sum(values) / values.length;
}

/** Sample variance (divided by n - 1, two passes); NaN for fewer than two values. */
export function variance(values: readonly number[]): number {
  if (values.length < 2) return Number.NaN;
  const centre = mean(values);
  return sum(values.map((value) => (value - centre) ** 2)) / (values.length - 1);
}

/** Sample standard deviation (divided by n - 1); NaN for fewer than two values. */
export function standardDeviation(values: readonly number[]): number {
  return Math.sqrt(variance(values));
}

/** One step of an exponential moving average: gamma * average + (1 - gamma) * value. */
export function mix(average: number, value: number, gamma: number): number {
  return gamma * average + (1 - gamma) * value;
}

/** The moving average after each value, starting from `start`: 0 pulls the first averages to 0, values[0] does not. */
export function movingAverage(values: readonly number[], gamma: number, start = 0): number[] {
  let average = start;
  return values.map((value) => (average = mix(average, value, gamma)));
}

/** Moving averages from 0 with the pull to 0 divided out: average_t / (1 - gamma^t), t from 1; for gamma < 1. */
export function unbiasedMovingAverage(values: readonly number[], gamma: number): number[] {
  return movingAverage(values, gamma).map((average, i) => average / (1 - gamma ** (i + 1)));
}

/** Student's interval of the mean of independent values; NaN ends for fewer than two. */
export function meanInterval(values: readonly number[], confidence = 0.95): Interval {
  const centre = mean(values);
  if (values.length < 2) return { low: Number.NaN, high: Number.NaN };
  const margin = studentQuantile((1 + confidence) / 2, values.length - 1) * Math.sqrt(variance(values) / values.length);
  return { low: centre - margin, high: centre + margin };
}

/** Wilson's interval of a proportion, without continuity correction, inside [0, 1]; [0, 1] when nothing was tried. */
export function wilsonInterval(successes: number, tries: number, confidence = 0.95): Interval {
  assert(successes >= 0 && successes <= tries, `${successes} successes of ${tries}`);
  if (tries === 0) return { low: 0, high: 1 };
  const z = normalQuantile((1 + confidence) / 2);
  const share = successes / tries;
  const shrink = 1 + z ** 2 / tries;
  const centre = (share + z ** 2 / (2 * tries)) / shrink;
  const margin = (z / shrink) * Math.sqrt((share * (1 - share)) / tries + z ** 2 / (4 * tries ** 2));
  return {
    low: successes === 0 ? 0 : Math.max(0, centre - margin),
    high: successes === tries ? 1 : Math.min(1, centre + margin),
  };
}

/** Clopper and Pearson's interval of a proportion: never covers less often than it says; [0, 1] when nothing was tried. */
export function clopperPearsonInterval(successes: number, tries: number, confidence = 0.95): Interval {
  assert(successes >= 0 && successes <= tries, `${successes} successes of ${tries}`);
  const tail = (1 - confidence) / 2;
  return {
    low: successes === 0 ? 0 : betaQuantile(tail, successes, tries - successes + 1),
    high: successes === tries ? 1 : betaQuantile(1 - tail, successes + 1, tries - successes),
  };
}

/** What a test is asked to show of mean(a) - mean(b): that it is not 0, is above 0, or is below 0. */
export type Alternative = 'two-sided' | 'greater' | 'less';

/** `low` and `high` enclose mean(a) - mean(b); a one-sided alternative leaves its other end infinite. */
export type TTest = Interval & { difference: number; t: number; df: number; p: number };

/**
 * From a difference, its standard error and degrees of freedom to p and interval. Without any spread the statistic is
 * infinite (p 0 or 1), or NaN when the difference is 0 as well; the infinite end of a one-sided interval is then NaN.
 */
function tTest(difference: number, error: number, df: number, alternative: Alternative, confidence: number): TTest {
  const t = difference / error;
  const p = {
    'two-sided': 2 * studentUpperTail(Math.abs(t), df),
    greater: studentUpperTail(t, df),
    less: studentUpperTail(-t, df),
  }[alternative];
  const quantile = studentQuantile(alternative === 'two-sided' ? (1 + confidence) / 2 : confidence, df);
  const low = difference - (alternative === 'less' ? Number.POSITIVE_INFINITY : quantile) * error;
  const high = difference + (alternative === 'greater' ? Number.POSITIVE_INFINITY : quantile) * error;
  return { difference, t, df, p, low, high };
}

/** Welch's test of two independent samples with unequal variances, at least two values each. */
export function welchTest(
  a: readonly number[],
  b: readonly number[],
  alternative: Alternative = 'two-sided',
  confidence = 0.95,
): TTest {
  assert(a.length >= 2 && b.length >= 2, `Welch's test of ${a.length} and ${b.length} values`);
  const [errorA, errorB] = [variance(a) / a.length, variance(b) / b.length];
  const error = errorA + errorB;
  // two constant samples have no degrees of freedom (0 / 0); 1 keeps the rest defined
  const df = error === 0 ? 1 : error ** 2 / (errorA ** 2 / (a.length - 1) + errorB ** 2 / (b.length - 1));
  return tTest(mean(a) - mean(b), Math.sqrt(error), df, alternative, confidence);
}

/** Student's test of paired samples, at least two pairs: a test of the mean of a[i] - b[i]. */
export function pairedTest(
  a: readonly number[],
  b: readonly number[],
  alternative: Alternative = 'two-sided',
  confidence = 0.95,
): TTest {
  assert(a.length === b.length && a.length >= 2, `paired test of ${a.length} and ${b.length} values`);
  const differences = a.map((value, i) => value - b[i]);
  const error = Math.sqrt(variance(differences) / a.length);
  return tTest(mean(differences), error, a.length - 1, alternative, confidence);
}

/** Holm's adjusted p-values, in the order given: reject those below the level to bound the chance of any false claim. */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((i, j) => pValues[i] - pValues[j]);
  const adjusted = new Array<number>(pValues.length);
  let largest = 0;
  order.forEach((index, k) => {
    largest = Math.max(largest, Math.min(1, (pValues.length - k) * pValues[index]));
    adjusted[index] = largest;
  });
  return adjusted;
}
