import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomStream } from '../../src-main/engine/base/random.ts';
import {
  clopperPearsonInterval,
  holm,
  mean,
  meanInterval,
  movingAverage,
  pairedTest,
  standardDeviation,
  sum,
  unbiasedMovingAverage,
  welchTest,
  wilsonInterval,
} from '../../src-main/engine/base/statistics.ts';
import {
  betaCdf,
  betaQuantile,
  logGamma,
  normalCdf,
  normalQuantile,
  studentCdf,
  studentQuantile,
} from '../../src-main/engine/base/student.ts';

const near = (a: number, b: number, tolerance = 1e-12) => Math.abs(a - b) <= tolerance;

test('equal values have exactly their own value as mean and no deviation, whatever the value', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: 2, max: 40 }), (value, n) => {
      const values = new Array<number>(n).fill(value);
      assert.equal(mean(values), value);
      assert.equal(standardDeviation(values), 0);
    }),
  );
});

test('equal shares have equal means, wherever the ones stand', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1), { minLength: 1, maxLength: 60 }), (flags) => {
      const share = flags.filter((flag) => flag === 1).length / flags.length;
      assert.equal(mean(flags), share);
      assert.equal(mean([...flags].reverse()), share);
    }),
  );
});

test('a sum is rounded once and does not depend on the order of its values', () => {
  assert.equal(sum([1, 1e100, 1, -1e100]), 2);
  assert.equal(sum([0.1, 0.2, 0.3]), sum([0.3, 0.2, 0.1]));
});

test('a common offset costs the mean no digits', () => {
  assert.equal(mean([1e15 + 1, 1e15 + 2, 1e15 + 6]) - 1e15, 3);
});

test('too few values have no deviation and no interval', () => {
  assert.ok(Number.isNaN(mean([])));
  assert.ok(Number.isNaN(standardDeviation([1])));
  assert.ok(Number.isNaN(meanInterval([1]).low));
  assert.deepEqual(wilsonInterval(0, 0), { low: 0, high: 1 });
  assert.deepEqual(clopperPearsonInterval(0, 0), { low: 0, high: 1 });
});

test('the gamma function is the factorial', () => {
  let factorial = 1;
  for (let n = 1; n < 100; n++) {
    assert.ok(
      near(logGamma(n) / Math.max(1, Math.log(factorial)), Math.log(factorial) / Math.max(1, Math.log(factorial))),
    );
    factorial *= n;
  }
});

test('the beta distribution with whole parameters is a binomial tail', () => {
  // I_x(a, b) = P(at least a heads in a + b - 1 throws of a coin with chance x)
  for (const [x, a, b] of [
    [0.3, 2, 5],
    [0.9, 7, 1],
    [0.5, 4, 4],
  ]) {
    let expected = 0;
    const n = a + b - 1;
    for (let heads = a; heads <= n; heads++) {
      let ways = 1;
      for (let k = 0; k < heads; k++) ways = (ways * (n - k)) / (k + 1);
      expected += ways * x ** heads * (1 - x) ** (n - heads);
    }
    assert.ok(near(betaCdf(x, a, b), expected), `${x} ${a} ${b}`);
  }
});

test('Student with one degree of freedom is the Cauchy distribution, also in its far tails', () => {
  for (const t of [0, 1e-9, -1e-9, 0.5, -3, 1e6, -1e8]) {
    const expected = t < -1 ? Math.atan(-1 / t) / Math.PI : 0.5 + Math.atan(t) / Math.PI;
    assert.ok(near(studentCdf(t, 1) / expected, 1), `${t}: ${studentCdf(t, 1)}, expected ${expected}`);
  }
});

test('a quantile is where the distribution function reaches p', () => {
  const probability = fc.double({ min: 1e-9, max: 1 - 1e-9, noNaN: true });
  fc.assert(
    fc.property(probability, fc.double({ min: 1, max: 500, noNaN: true }), (p, df) => {
      assert.ok(near(studentCdf(studentQuantile(p, df), df), p, 1e-11));
      assert.ok(near(normalCdf(normalQuantile(p)), p));
      assert.ok(near(betaCdf(betaQuantile(p, df, 3), df, 3), p, 1e-11));
      assert.ok(near(studentQuantile(p, df), -studentQuantile(1 - p, df), 1e-6 * Math.abs(studentQuantile(p, df))));
    }),
  );
  assert.ok(near(normalQuantile(0.975), 1.959963984540054, 1e-14));
});

test('Student with many degrees of freedom is the normal distribution', () => {
  assert.ok(near(studentQuantile(0.975, 1e9), normalQuantile(0.975), 1e-6));
});

test('intervals of proportions hold the share, mirror each other, and grow with the confidence', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(300), (n, k) => {
      fc.pre(k <= n);
      for (const interval of [wilsonInterval, clopperPearsonInterval]) {
        const { low, high } = interval(k, n);
        assert.ok(low >= 0 && low <= k / n && k / n <= high && high <= 1);
        const mirrored = interval(n - k, n);
        assert.ok(near(low, 1 - mirrored.high) && near(high, 1 - mirrored.low));
        assert.ok(interval(k, n, 0.99).low <= low);
      }
    }),
  );
});

test("Clopper and Pearson's interval covers the truth at least as often as it says", () => {
  const random = randomStream(3, 'coverage');
  let covered = 0;
  for (let trial = 0; trial < 1000; trial++) {
    let k = 0;
    for (let i = 0; i < 20; i++) if (random.next() < 0.3) k++;
    const { low, high } = clopperPearsonInterval(k, 20);
    if (low <= 0.3 && 0.3 <= high) covered++;
  }
  assert.ok(covered >= 940, `${covered} of 1000`);
});

test('exchanging the samples turns a test around', () => {
  const samples = fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: 3, maxLength: 9 });
  fc.assert(
    fc.property(samples, samples, (a, b) => {
      fc.pre(standardDeviation(a) > 1e-3 && standardDeviation(b) > 1e-3);
      const [forth, back] = [welchTest(a, b, 'greater'), welchTest(b, a, 'less')];
      assert.ok(near(forth.p, back.p, 1e-10) && near(forth.low, -back.high, 1e-9));
      assert.equal(forth.high, Number.POSITIVE_INFINITY);
      const both = welchTest(a, b);
      assert.ok(near(both.p, 2 * Math.min(forth.p, welchTest(a, b, 'less').p), 1e-10));
      assert.equal(both.low > 0 || both.high < 0, both.p < 0.05);
    }),
  );
});

test('pairing removes what the pairs have in common', () => {
  const a = [10, 20, 30, 40];
  const b = [9.1, 18.9, 29.2, 38.8];
  assert.ok(pairedTest(a, b).p < 0.01);
  assert.ok(welchTest(a, b).p > 0.9);
});

test("Holm's correction multiplies the smallest p by the number of tests and never reorders", () => {
  assert.deepEqual(
    holm([0.01, 0.04, 0.03, 0.005]).map((p) => Math.round(p * 1e6) / 1e6),
    [0.03, 0.06, 0.06, 0.02],
  );
  assert.deepEqual(holm([0.9, 0.8]), [1, 1]);
  assert.deepEqual(holm([]), []);
});

test('an average from 0 is pulled to 0 at first, the unbiased one is not', () => {
  assert.deepEqual(movingAverage([1, 1], 0.5), [0.5, 0.75]);
  assert.deepEqual(unbiasedMovingAverage([1, 1], 0.5), [1, 1]);
  assert.deepEqual(
    movingAverage([3, 3], 0.9, 3).map((value) => Math.round(value * 1e9) / 1e9),
    [3, 3],
  );
});
