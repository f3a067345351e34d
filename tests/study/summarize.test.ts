import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pairedTest } from '../../src-main/engine/base/statistics.ts';
import { measuresOf } from '../../src-main/study/measures.ts';
import { summarize } from '../../src-main/study/summarize.ts';
import { plan, shardsOf, small } from './studies.ts';
import { checkStudy } from '../../src-main/study/study-runs.ts';

/** hvg is cheaper than grpo by 1.0, 1.1, 1.2 and equally good, except under, seed 2, where it collapses. */
const shards = shardsOf(small, ({ cell, method, variant, seed }) => {
  if (variant !== 'default') return null;
  if (method === 'grpo') return { success: 0.9, cost: 2 };
  if (method === 'hvg')
    return cell === 'under' && seed === 2 ? { success: 0.2, cost: 0.1 } : { success: 0.9, cost: 1 - seed / 10 };
  return seed === 0 ? { success: 0.8, cost: 1 } : null;
});
const summary = summarize(small, shards);
const rowOf = (cell: string, method: string) =>
  summary.tables.find((table) => table.cell === cell)!.rows.find((row) => row.method === method)!;

test('the measures of a run are those that their formulas say', () => {
  const [shard] = shardsOf(small, () => ({ success: 0.8, cost: 1 })).values();
  const near = (actual: number | null, expected: number) =>
    assert.ok(Math.abs(actual! - expected) < 1e-12, `${actual}`);
  const measures = measuresOf(shard);
  near(measures.hypervolume, 0.8 * 0.75);
  near(measures.hypervolumeSteep, 0.8 * Math.exp(-1));
  near(measures.hypervolumeThree, 0.8 * 0.75 * (1 - 10 / 160));
  near(measures.frontierHypervolume, 0.6); // (0.8, 0.75) dominates the start (0.5, 0.5)
  near(measures.frontierArea, (0.25 + 0.6) / 2);
  near(measures.successesPerCall, 0.8);
  assert.equal(measures.greedySuccess, null);
  near(measuresOf(shard, 'start').hypervolume, 0.25);
  // a run that broke down counts with what it last was on selection problems
  const broken = {
    ...shard,
    status: 'failed' as const,
    points: shard.points.filter(({ split, step }) => split !== 'report' || step === 0),
  };
  near(measuresOf(broken).hypervolume, 0.6);
});

test('every number says how many seeds it rests on, and one seed has no interval', () => {
  assert.deepEqual(summary.runs, { planned: 20, done: 14, otherSettings: 0 });
  const hvg = rowOf('over', 'hvg');
  assert.deepEqual([hvg.seeds, hvg.planned], [[0, 1, 2], 3]);
  const { mean, low, high, n } = hvg.metrics.cost!;
  assert.equal(n, 3);
  // 1.0, 0.9, 0.8: mean 0.9, t(0.975, 2) = 4.302653 times 0.1 / sqrt(3)
  assert.ok(Math.abs(mean - 0.9) < 1e-12 && Math.abs(mean - low! - 0.2484138) < 1e-6 && high! > mean);
  assert.deepEqual(rowOf('over', 'static').metrics.success, { n: 1, mean: 0.8, low: null, high: null });
  assert.equal(rowOf('over', 'start').metrics.success!.mean, 0.5);
});

test('a collapse is a success below the share of the reference on the same seed', () => {
  assert.deepEqual([rowOf('over', 'hvg').collapsed, rowOf('under', 'hvg').collapsed], [0, 1]);
});

test('wins, ties and losses are counted over shared seeds only', () => {
  const duel = (cell: string, a: string, b: string) => {
    const { wins, ties, losses } = summary.duels.find((one) => one.cell === cell && one.a === a && one.b === b)!;
    return [wins, ties, losses];
  };
  assert.deepEqual(duel('over', 'grpo', 'hvg'), [0, 0, 3]);
  assert.deepEqual(duel('under', 'grpo', 'hvg'), [1, 0, 2]);
  assert.deepEqual(duel('over', 'grpo', 'static'), [0, 0, 1]);
});

test('a test is the paired test of its seeds, corrected over the whole family, the tests without data included', () => {
  const [over] = summary.tests;
  const expected = pairedTest([1, 0.9, 0.8], [2, 2, 2], 'less').p;
  assert.equal(over.n, 3);
  assert.ok(Math.abs(over.p! - expected) < 1e-12);
  assert.equal(over.pHolm, Math.min(1, 2 * over.p!));
  assert.equal(over.verdict, 'shown');
  const half = summarize(
    small,
    shardsOf(small, ({ cell, method, seed }) =>
      cell === 'over' ? { success: 0.9, cost: method === 'hvg' ? 1 - seed / 10 : 2 } : null,
    ),
  );
  assert.equal(half.tests[0].pHolm, over.pHolm);
  assert.deepEqual([half.tests[1].verdict, half.tests[1].p, half.tests[1].n], ['not yet', null, 0]);
});

test('a claim with factor, margin and the start policy is tested as it is written', () => {
  const claims = [
    {
      question: 'a',
      claim: 'halved',
      metric: 'cost',
      a: 'hvg',
      b: 'start',
      factor: 0.5,
      alternative: 'less',
      cells: ['over'],
    },
    {
      question: 'a',
      claim: 'kept',
      metric: 'success',
      a: 'hvg',
      b: 'start',
      margin: -0.02,
      alternative: 'greater',
      cells: ['over'],
    },
    { question: 'a', claim: 'dearer', metric: 'cost', a: 'hvg', b: 'grpo', alternative: 'greater', cells: ['over'] },
  ];
  const { tests } = summarize(checkStudy({ ...plan, tests: claims }), shards);
  // half of the start's cost is 1: differences 0, -0.1, -0.2
  assert.ok(Math.abs(tests[0].difference! + 0.1) < 1e-12);
  assert.equal(tests[0].verdict, 'open');
  assert.ok(Math.abs(tests[1].difference! - 0.42) < 1e-12);
  assert.equal(tests[1].verdict, 'shown');
  assert.equal(tests[2].verdict, 'against');
});

test('runs of one cell that began from different weights are told', () => {
  const mixed = new Map(shards);
  const [key, shard] = [...mixed][0];
  mixed.set(key, { ...shard, modelHash: 'other' });
  assert.match(summarize(small, mixed).warnings[0], /over began from different weights/);
  assert.deepEqual(summary.warnings, []);
});
