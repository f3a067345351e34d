/**
 * The distributions behind our intervals and tests: Student's t, the beta and the normal distribution, in double
 * precision. Distribution functions only; tests and intervals that use them are in statistics.ts.
 *
 * Sources: Lanczos' approximation of the gamma function (g = 7, nine terms), the continued fraction of the incomplete
 * beta function (NIST DLMF 8.17.22) evaluated by Lentz' method, the power series of the normal distribution (DLMF 7.6.2).
 * Quantiles are found by bisection: a monotone function needs no cleverer search, and the answer is exact to the last bit
 * that the distribution function can tell apart.
 */
import { assert } from './assert.ts';

const lanczos = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** Natural logarithm of the gamma function for x >= 0.5; relative error about 1e-15. */
export function logGamma(x: number): number {
  assert(x >= 0.5, `logGamma of ${x}`);
  const sum = lanczos.reduce((total, coefficient, i) => (i === 0 ? coefficient : total + coefficient / (x - 1 + i)), 0);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

/** The continued fraction in I_x(a, b) = x^a (1 - x)^b / (a B(a, b)) * fraction; converges fast for x < (a + 1) / (a + b + 2). */
function betaFraction(x: number, a: number, b: number): number {
  const away = (value: number) => (Math.abs(value) < 1e-300 ? 1e-300 : value);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let value = d;
  for (let m = 1; m < 100_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    value *= c * d;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    value *= c * d;
    if (Math.abs(c * d - 1) < 1e-16) return value;
  }
  return value;
}

/**
 * Regularized incomplete beta function I_x(a, b), the distribution function of Beta(a, b), for a, b >= 0.5.
 * A caller that knows 1 - x without cancellation hands it in.
 */
export function betaCdf(x: number, a: number, b: number, oneMinusX = 1 - x): number {
  if (Number.isNaN(x)) return Number.NaN;
  if (x <= 0) return 0;
  if (oneMinusX <= 0) return 1;
  const density = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(oneMinusX));
  if (x < (a + 1) / (a + b + 2)) return (density * betaFraction(x, a, b)) / a;
  return 1 - (density * betaFraction(oneMinusX, b, a)) / b;
}

/** Where a non-decreasing function crosses zero in [low, high], to the last bit. */
function bisect(rising: (x: number) => number, low: number, high: number): number {
  for (;;) {
    const middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return middle;
    if (rising(middle) < 0) low = middle;
    else high = middle;
  }
}

/** The p-quantile of Beta(a, b), 0 < p < 1, a, b >= 0.5. */
export function betaQuantile(p: number, a: number, b: number): number {
  assert(p > 0 && p < 1, `beta quantile of ${p}`);
  return bisect((x) => betaCdf(x, a, b) - p, 0, 1);
}

/** P(T > t) of Student's t with df > 0 degrees of freedom (need not be whole); exact in both tails, NaN for a NaN. */
export function studentUpperTail(t: number, df: number): number {
  if (t === Number.POSITIVE_INFINITY) return 0;
  if (t === Number.NEGATIVE_INFINITY) return 1;
  const square = t * t;
  const half = betaCdf(df / (df + square), df / 2, 0.5, square / (df + square)) / 2;
  return t < 0 ? 1 - half : half;
}

/** P(T <= t) of Student's t with df > 0 degrees of freedom. */
export function studentCdf(t: number, df: number): number {
  return studentUpperTail(-t, df);
}

/** The p-quantile of Student's t, 0 < p < 1. */
export function studentQuantile(p: number, df: number): number {
  assert(p > 0 && p < 1 && df > 0, `Student quantile of ${p} with ${df} degrees of freedom`);
  if (p === 0.5) return 0;
  const tail = Math.min(p, 1 - p);
  let high = 1;
  while (studentUpperTail(high, df) > tail) high *= 2;
  const t = bisect((x) => tail - studentUpperTail(x, df), 0, high);
  return p < 0.5 ? -t : t;
}

/** P(Z <= z) of the standard normal distribution; absolute error about 1e-16 for |z| < 10. */
export function normalCdf(z: number): number {
  // Phi(z) = 1/2 + phi(z) (z + z^3 / 3 + z^5 / (3 * 5) + ...)
  let term = z;
  let sum = z;
  for (let k = 3; Math.abs(term) > 1e-18 * Math.abs(sum); k += 2) {
    term *= (z * z) / k;
    sum += term;
  }
  return 0.5 + (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * sum;
}

/** The p-quantile of the standard normal distribution, 1e-15 < p < 1 - 1e-15. */
export function normalQuantile(p: number): number {
  assert(p > 1e-15 && p < 1 - 1e-15, `normal quantile of ${p}`);
  return p === 0.5 ? 0 : bisect((z) => normalCdf(z) - p, -10, 10);
}
