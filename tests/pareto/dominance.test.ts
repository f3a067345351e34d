import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { covers, dominates } from '../../src-main/engine/pareto/dominance.ts';
import { nonDominatedSort } from '../../src-main/engine/pareto/non-dominated-sort.ts';
import { pointSets } from './points.ts';

test('dominance is a strict partial order and equal points do not dominate', () => {
  assert.equal(dominates([1, 1], [1, 0]), true);
  assert.equal(dominates([1, 0], [0, 1]), false);
  assert.equal(dominates([1, 1], [1, 1]), false);
  assert.equal(covers([1, 1], [1, 1]), true);
  fc.assert(
    fc.property(pointSets(6), (points) => {
      for (const a of points) {
        assert.equal(dominates(a, a), false);
        for (const b of points) {
          if (dominates(a, b)) assert.equal(dominates(b, a), false);
          for (const c of points) if (dominates(a, b) && dominates(b, c)) assert.equal(dominates(a, c), true);
        }
      }
    }),
  );
});

test('a rank is one more than the worst rank among the dominators of a point', () => {
  fc.assert(
    fc.property(pointSets(14), (points) => {
      const ranks = nonDominatedSort(points);
      points.forEach((point, i) => {
        const above = ranks.filter((_, j) => dominates(points[j], point));
        assert.equal(ranks[i], 1 + Math.max(0, ...above));
      });
    }),
  );
});

test('ranks belong to the points, not to their places', () => {
  fc.assert(
    fc.property(pointSets(12), fc.infiniteStream(fc.nat()), (points, keys) => {
      const order = points.map((_, i) => ({ i, key: keys.next().value as number })).sort((a, b) => a.key - b.key);
      const ranks = nonDominatedSort(points);
      assert.deepEqual(
        nonDominatedSort(order.map(({ i }) => points[i])),
        order.map(({ i }) => ranks[i]),
      );
    }),
  );
});

test('thousands of points are ranked in well under a second, also when they form one front', () => {
  const circle = Array.from({ length: 4000 }, (_, i) => [Math.cos(i / 4000), Math.sin(i / 4000), (i * 7919) % 4001]);
  const start = performance.now();
  nonDominatedSort(circle.map(([x, y]) => [x, y]));
  assert.equal(Math.max(...nonDominatedSort(circle)), 1);
  assert.ok(performance.now() - start < 2000);
});

test('ranks are right where the points are more than a block of bits holds, ties and duplicates among them', () => {
  const random = randomStream(3, 'blocks');
  const points = Array.from({ length: 6000 }, () => Array.from({ length: 4 }, () => Math.floor(random.next() * 40)));
  const ranks = nonDominatedSort(points);
  for (let i = 0; i < points.length; i += 29) {
    const above = ranks.filter((_, j) => dominates(points[j], points[i]));
    assert.equal(ranks[i], 1 + Math.max(0, ...above));
  }
});

test('no points have no ranks, and a NaN is refused', () => {
  assert.deepEqual(nonDominatedSort([]), []);
  assert.throws(() => nonDominatedSort([[0, Number.NaN]]), /cannot rank/);
  assert.throws(() => nonDominatedSort([[0, 1], [0]]), /cannot rank/);
});
