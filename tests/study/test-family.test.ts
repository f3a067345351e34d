/** The family of tests on eight paired seeds against scipy 1.17.1 (ttest_rel) and statsmodels 0.15.0 (multipletests, method holm). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkStudy } from '../../src-main/study/study-runs.ts';
import { summarize } from '../../src-main/study/summarize.ts';
import { plan, shardsOf } from './studies.ts';

const success = {
  hvg: [0.731, 0.742, 0.718, 0.755, 0.729, 0.748, 0.736, 0.741],
  grpo: [0.722, 0.745, 0.701, 0.739, 0.731, 0.733, 0.728, 0.735],
};
const cost = {
  hvg: [1.31, 1.27, 1.22, 1.4, 1.35, 1.29, 1.33, 1.3],
  grpo: [2.29, 2.31, 2.2, 2.35, 2.28, 2.33, 2.27, 2.3],
};

const both = { question: 'a', a: 'hvg', b: 'grpo', cells: ['over'] };
const study = checkStudy({
  ...plan,
  methods: { grpo: { method: 'grpo' }, hvg: { method: 'hvg' } },
  variants: {},
  blocks: [{ name: 'main', cells: ['over', 'under'], methods: ['grpo', 'hvg'], seeds: [0, 1, 2, 3, 4, 5, 6, 7] }],
  tests: [
    { ...both, claim: 'above', metric: 'success', alternative: 'greater' },
    { ...both, claim: 'differs', metric: 'success', alternative: 'two-sided' },
    { ...both, claim: 'halves', metric: 'cost', factor: 0.5, alternative: 'less' },
    { ...both, claim: 'not below', metric: 'success', margin: -0.01, alternative: 'greater' },
    { ...both, claim: 'cheaper', metric: 'cost', alternative: 'less', cells: ['over', 'under'] },
    { ...both, claim: 'above there', metric: 'success', alternative: 'greater', cells: ['under'] },
  ],
});

/** p, difference, 95 % interval, p after Holm's correction over these five and two with p = 1 */
const expected: Record<string, number[]> = {
  above: [0.00977194412212573, 0.00825, 0.001778065571822693, 0.014721934428177322, 0.048859720610628654],
  differs: [0.01954388824425146, 0.00825, 0.001778065571822693, 0.014721934428177322, 0.07817555297700585],
  halves: [0.9999934534265101, 0.163125, 0.12730984169336274, 0.1989401583066373, 1],
  'not below': [0.00014287677110641354, 0.01825, 0.011778065571822701, 0.02472193442817733, 0.0008572606266384812],
  cheaper: [2.5050604268032012e-11, -0.9825, -1.0178989180960631, -0.9471010819039367, 1.753542298762241e-10],
};

test('p, intervals and Holm over one family agree with scipy and statsmodels, runs that are missing counted as p = 1', () => {
  const shards = shardsOf(study, ({ cell, method, seed }) => {
    const of = method as 'hvg' | 'grpo';
    return cell === 'over' ? { success: success[of][seed], cost: cost[of][seed] } : null;
  });
  const { tests, tables } = summarize(study, shards);
  const made = tests.filter(({ p }) => p !== null);
  assert.equal(made.length, 5);
  for (const { claim, p, difference, low, high, pHolm } of made) {
    [p, difference, low, high, pHolm].forEach((value, i) => {
      const wanted = expected[claim][i];
      assert.ok(Math.abs(value! - wanted) <= 1e-9 * Math.abs(wanted) + 1e-14, `${claim}: ${value}, expected ${wanted}`);
    });
  }
  assert.deepEqual(
    tests.map(({ claim, verdict }) => `${claim} ${verdict}`),
    [
      'above shown',
      'differs open',
      'halves against',
      'not below shown',
      'cheaper shown',
      'cheaper not yet',
      'above there not yet',
    ],
  );
  const { low, high } = tables[0].rows.find(({ method }) => method === 'hvg')!.metrics.success!;
  assert.ok(Math.abs(low! - 0.7277811765232406) < 1e-12 && Math.abs(high! - 0.7472188234767593) < 1e-12);
});

test('a test with a pair missing has no p and no verdict, however clear it looks, and the others are corrected as before', () => {
  const of = (last: number) =>
    summarize(
      study,
      shardsOf(study, ({ cell, method, seed }) =>
        cell === 'over' || seed <= last
          ? { success: 0.8, cost: (method === 'hvg' ? 1 : 2) + seed / 100 + seed ** 2 / 1000 }
          : null,
      ),
    ).tests;
  const [early, whole] = [of(6), of(7)];
  const under = early.findIndex(({ claim, cell }) => claim === 'cheaper' && cell === 'under');
  assert.deepEqual(
    [early[under].n, early[under].planned, early[under].p, early[under].verdict],
    [7, 8, null, 'not yet'],
  );
  assert.ok(Math.abs(early[under].difference! + 1) < 1e-12);
  assert.equal(whole[under].verdict, 'shown');
  early.forEach((one, i) => {
    assert.ok(one.pHolm === null || one.pHolm >= whole[i].pHolm!, 'a corrected p only falls when the rest comes');
  });
});
