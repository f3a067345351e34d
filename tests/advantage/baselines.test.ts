/** The baselines and `ffp` on groups worked by hand; what each setting changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dynamicWeights } from '../../src-main/engine/advantage/dynamic-weights.ts';
import { ffp, gatedRanks } from '../../src-main/engine/advantage/ffp.ts';
import { gdpo, whitened } from '../../src-main/engine/advantage/gdpo.ts';
import { moGrpo } from '../../src-main/engine/advantage/mo-grpo.ts';
import { callScore, otc, otcRewards } from '../../src-main/engine/advantage/otc.ts';
import { standardized, weightedSums } from '../../src-main/engine/advantage/scalars.ts';
import { groupOf, inputOf, mixedStep, weightedGroups } from './groups.ts';

const near = (actual: readonly number[], expected: readonly number[], tolerance = 1e-12) => {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]) <= tolerance, `${actual} instead of ${expected}`);
  });
};

test('OTC scores calls as its paper prints: 1 at the fewest, less on both sides', () => {
  // n = 2: sin(pi f / 2n) with f = 2nm / (m + n): m = 1: f = 4/3, sin(pi / 3); m = 6: f = 3, sin(3 pi / 4)
  near([callScore(1, 2), callScore(2, 2), callScore(6, 2)], [Math.sqrt(3) / 2, 1, Math.SQRT1_2]);
  // n = 0: cos(pi m / (2m + 4)): m = 1: cos(pi / 6); m = 2: cos(pi / 4); m = 4: cos(pi / 3)
  near([callScore(0, 0), callScore(1, 0), callScore(2, 0), callScore(4, 0)], [1, Math.sqrt(3) / 2, Math.SQRT1_2, 0.5]);
});

test('OTC: a failure earns nothing, and a third objective multiplies', () => {
  const group = {
    ...groupOf('p', [
      [1, 1, 0.5],
      [1, 0.2, 1],
      [0, 1, 1],
    ]),
    costs: [1, 2, 0],
    fewestCost: 1,
  };
  const third = Math.sin((2 * Math.PI) / 3); // f = 4/3, sin(pi * 4/3 / 2)
  near(otcRewards(group, ['success', 'tool']), [1, third, 0]);
  near(otcRewards(group, ['success', 'tool', 'length']), [0.5, third, 0]);
  near(otcRewards(group, ['success', 'length', 'tool']), [1, 0.2 * third, 0]);
  const unsolved = {
    ...groupOf('q', [
      [0, 1],
      [0, 0.1],
    ]),
    fewestCost: null,
  };
  assert.deepEqual(otc(['success', 'tool']).advantages(inputOf([unsolved]), null).advantages, [[0, 0]]);
});

test('OTC has the values of its formulas for every pair of calls and fewest calls', () => {
  // columns: m = 0 to 4; computed from f and s as printed, in Python
  const table = [
    [1, 0.866025403784, Math.SQRT1_2, 0.587785252292, 0.5],
    [0, 1, 0.866025403784, Math.SQRT1_2, 0.587785252292],
    [0, 0.866025403784, 1, 0.951056516295, 0.866025403784],
    [0, Math.SQRT1_2, 0.951056516295, 1, 0.974927912182],
  ];
  table.forEach((row, n) => {
    near(
      row.map((_, m) => callScore(m, n)),
      row,
      1e-11,
    );
  });
});

/** Three groups of four with calls 0 to 2 more than the fewest; sampled tokens. */
const [e1, e2] = [Math.exp(-0.5), Math.exp(-1)];
const threeGroups = [
  {
    rewards: [
      [1, 1],
      [1, e1],
      [0, 1],
      [0, e2],
    ],
    tokens: [12, 18, 9, 22],
  },
  {
    rewards: [
      [1, 1],
      [1, e1],
      [1, e1],
      [1, e2],
    ],
    tokens: [11, 17, 15, 25],
  },
  {
    rewards: [
      [0, 0],
      [0, 0],
      [0, 0],
      [1, 1],
    ],
    tokens: [8, 9, 30, 14],
  },
].map(({ rewards, tokens }, p) => ({ ...groupOf(`g${p}`, rewards), tokens }));

test("GDPO agrees with TRL's normalize_then_sum and, but for its smaller epsilons, with verl's masked whitening", () => {
  // float64 results of the formulas in TRL 1.16.0 (grpo_trainer.py) and verl (core_algos.py), weights 0.6 and 0.4
  const trl = [
    1.2157804698314, 0.49244603334035, -0.27308377686146, -1.4351427263103, 0.77608955131934, -0.084670691191593,
    -0.084670691191593, -0.60674816893616, -0.71631095450876, -0.71631095450876, -0.71631095450876, 2.1489328635263,
  ];
  const verl = [
    1.4123371256171, 0.64958913772049, -0.15742400055799, -1.382802028748, 0.94885210794143, 0.041135383305301,
    0.041135383305301, -0.50942264052044, -0.62482641309058, -0.62482641309058, -0.62482641309058, 2.3961794733033,
  ];
  near(gdpo('gdpo').advantages(inputOf(threeGroups), null).advantages.flat(), trl, 1e-12);
  near(gdpo('gdpo-tokens').advantages(inputOf(threeGroups), null).advantages.flat(), verl, 1e-3);
});

test('MO-GRPO agrees with the sum of group-normalized rewards', () => {
  const expected = [
    1.6882384215235, 0.42623447969615, -0.043512437997906, -2.0709604632217, 1.3540459620965, -0.14772523006011,
    -0.14772523006011, -1.0585955019763, -0.999800039992, -0.999800039992, -0.999800039992, 2.999400119976,
  ];
  near(moGrpo.advantages(inputOf(threeGroups), null).advantages.flat(), expected, 1e-12);
});

test('MO-GRPO adds each objective in its own deviations', () => {
  // success 1,1,0,0: mean .5, deviation sqrt(1/3); tool 1,0,0,1: the same; sums 1,0,-1,0 of 0.5 / (sqrt(1/3) + 1e-4), doubled
  const unit = 1 / (Math.sqrt(1 / 3) + 1e-4);
  const group = groupOf('p', [
    [1, 1],
    [1, 0],
    [0, 0],
    [0, 1],
  ]);
  near(moGrpo.advantages(inputOf([group]), null).advantages[0], [unit, 0, -unit, 0]);
  // the scale of an objective does not matter, unlike under a weighted sum
  const scaled = groupOf(
    'p',
    group.rewards.map(([success, tool]) => [success, 0.01 * tool]),
  );
  near(moGrpo.advantages(inputOf([scaled]), null).advantages[0], [unit, 0, -unit, 0], 0.02);
});

test('GDPO whitens the weighted sums over the batch, by trajectory or by token', () => {
  const groups = [groupOf('a', [[1], [0]]), groupOf('b', [[1], [1]])].map((group, p) => ({
    ...group,
    tokens: p === 0 ? [30, 10] : [5, 5],
  }));
  // group a: +-0.5 / (sqrt(0.5) + 1e-4) = +-u; group b: 0; batch deviation with n - 1: sqrt(2 u^2 / 3)
  const u = 0.5 / (Math.SQRT1_2 + 1e-4);
  const deviation = Math.sqrt((2 * u * u) / 3) + 1e-4;
  near(
    gdpo('gdpo')
      .advantages(inputOf(groups, { weights: [1] }), null)
      .advantages.flat(),
    [u / deviation, -u / deviation, 0, 0],
  );
  // by token: mean (30u - 10u) / 50 = 0.4u; squares 30 * .36 + 10 * 1.96 + 10 * .16 = 32 u^2; over 49
  const tokens = Math.sqrt((32 * u * u) / 49) + 1e-4;
  near(
    gdpo('gdpo-tokens')
      .advantages(inputOf(groups, { weights: [1] }), null)
      .advantages.flat(),
    [0.6, -1.4, -0.4, -0.4].map((times) => (times * u) / tokens),
  );
});

test('whitened values have mean 0 and deviation 1', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: -9, max: 9 }), fc.integer({ min: 1, max: 5 })), { minLength: 2 }),
      (pairs) => {
        const values = pairs.map(([value]) => value);
        const counts = pairs.map(([, count]) => count);
        const each = whitened(values, counts).flatMap((value, i) => new Array<number>(counts[i]).fill(value));
        const mean = each.reduce((a, b) => a + b, 0) / each.length;
        assert.ok(Math.abs(mean) < 1e-9);
        if (new Set(values).size === 1) return assert.ok(each.every((value) => value === 0));
        const variance = each.reduce((a, b) => a + (b - mean) ** 2, 0) / (each.length - 1);
        assert.ok(Math.abs(Math.sqrt(variance) - 1) < 2e-3, `deviation ${Math.sqrt(variance)}`);
      },
    ),
  );
});

test('ffp: failures 0, successes 1 and more by their place among the costs of successes, times the pass rate', () => {
  const rewards = [
    [1, 1],
    [1, 0.6],
    [1, 0.4],
    [1, 0.6],
    [0, 1],
  ];
  // pass rate 0.8, weights 0.6 and 0.4, three levels: 1 + 0.8 * (2 / 3) * (1, 1/2, 0)
  const step = 0.8 * (0.4 / 0.6);
  near(gatedRanks(rewards, [0.6, 0.4]), [1 + step, 1 + step / 2, 1, 1 + step / 2, 0]);
  // one level says nothing about cost, and no weight on cost neither
  near(
    gatedRanks(
      [
        [1, 0.3],
        [1, 0.3],
        [0, 1],
      ],
      [0.6, 0.4],
    ),
    [1, 1, 0],
  );
  near(gatedRanks(rewards, [1, 0]), [1, 1, 1, 1, 0]);
  // three objectives: each ranks for itself
  near(
    gatedRanks(
      [
        [1, 1, 0.2],
        [1, 0.5, 0.9],
      ],
      [0.5, 0.25, 0.25],
    ),
    [1.5, 1.5],
  );
});

test('ffp: no failure is worth more than a success, and advantages sum to 0', () => {
  fc.assert(
    fc.property(weightedGroups, ({ rewards, weights }) => {
      const [advantages] = ffp.advantages(inputOf([groupOf('p', rewards)], { weights }), null).advantages;
      assert.ok(Math.abs(advantages.reduce((a, b) => a + b, 0)) < 1e-9);
      const of = (success: number) => advantages.filter((_, i) => rewards[i][0] === success);
      assert.ok(Math.min(...of(1), Infinity) > Math.max(...of(0), -Infinity));
    }),
  );
});

test('dynamic weights: the factor is that of the step mean against earlier steps, and acts after the normalization', () => {
  const groups = [
    groupOf('p', [
      [1, 0.5],
      [0, 0.5],
    ]),
  ];
  const first = dynamicWeights.advantages(inputOf(groups), []);
  // the first point (0.5, 0.5) spans 0.25; the same point again adds nothing
  assert.equal(first.report.factor, 0.5 + 1.5 * Math.tanh(0.25));
  assert.deepEqual(first.state, [[0.5, 0.5]]);
  const second = dynamicWeights.advantages(inputOf(groups), first.state);
  assert.equal(second.report.factor, 0.5);
  const plain = standardized(weightedSums(groups[0].rewards, [0.6, 0.4]));
  near(
    first.advantages[0],
    plain.map((value) => first.report.factor * value),
  );
  near(
    second.advantages[0],
    plain.map((value) => 0.5 * value),
  );
});

test('weights move the methods that read them, the number of tokens only gdpo-tokens, the calls only otc', () => {
  const longer = mixedStep.map((group) => ({ ...group, tokens: group.tokens.map((n) => n * n) }));
  const dearer = mixedStep.map((group) => ({
    ...group,
    costs: group.costs.map((cost) => 2 * cost + 1),
    fewestCost: 1,
  }));
  const methods = {
    ffp,
    gdpo: gdpo('gdpo'),
    'gdpo-tokens': gdpo('gdpo-tokens'),
    'mo-grpo': moGrpo,
    otc: otc(['success', 'tool']),
  };
  const moved = (change: Parameters<typeof inputOf>) =>
    Object.entries(methods)
      .filter(([, method]) => {
        const before = method.advantages(inputOf(mixedStep), null).advantages;
        return JSON.stringify(before) !== JSON.stringify(method.advantages(inputOf(...change), null).advantages);
      })
      .map(([name]) => name);
  assert.deepEqual(moved([mixedStep, { weights: [0.9, 0.1] }]), ['ffp', 'gdpo', 'gdpo-tokens']);
  assert.deepEqual(moved([longer]), ['gdpo-tokens']);
  assert.deepEqual(moved([dearer]), ['otc']);
});
