/** The frontier as it is drawn: which points, which area, which suggestions, and what prices do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bestBelow,
  cheapestAbove,
  dominatedArea,
  frontierOf,
  hypervolume,
  kneeOf,
} from '../../src-renderer/frontier/pareto.ts';
import { costAt, kneeMove, parsePrice, priceEffects } from '../../src-renderer/frontier/price-effect.ts';
import type { RescoredPoint } from '../../src-main/contract/window-records.ts';

const point = fc.record({
  cost: fc.double({ min: 0, max: 5, noNaN: true }),
  success: fc.double({ min: 0, max: 1, noNaN: true }),
});
const points = fc.array(point, { maxLength: 20 });

test('no point of the frontier is dominated, and each other point is, or equals one', () => {
  fc.assert(
    fc.property(points, (all) => {
      const frontier = frontierOf(all);
      for (const p of all) {
        const dominated = all.some(
          (q) => q.cost <= p.cost && q.success >= p.success && (q.cost < p.cost || q.success > p.success),
        );
        if (frontier.includes(p)) assert.ok(!dominated);
        else assert.ok(frontier.some((q) => q.cost <= p.cost && q.success >= p.success));
      }
    }),
  );
});

test('the hypervolume is the area of the drawn corners', () => {
  fc.assert(
    fc.property(points, (all) => {
      const corners = dominatedArea(frontierOf(all), 4);
      const shoelace = corners.reduce((sum, { cost, success }, i) => {
        const next = corners[(i + 1) % corners.length];
        return sum + (cost * next.success - next.cost * success) / 2;
      }, 0);
      assert.ok(Math.abs(Math.abs(shoelace) / 4 - hypervolume(all, 4)) < 1e-9);
    }),
  );
});

test('a point beyond the cost limit adds nothing', () => {
  assert.equal(hypervolume([{ cost: 5, success: 1 }], 4), 0);
  assert.deepEqual(dominatedArea([{ cost: 5, success: 1 }], 4), []);
  assert.equal(hypervolume([{ cost: 1, success: 0.8 }], 4), 0.6000000000000001);
});

const three = [
  { cost: 1, success: 0.5 },
  { cost: 1.2, success: 0.9 },
  { cost: 3, success: 1 },
  { cost: 2, success: 0.3 },
];

test('the knee is where the frontier bends; of two points the one that spans more', () => {
  assert.equal(kneeOf(three, 4), three[1]);
  assert.equal(kneeOf([three[0], three[2]], 4), three[0]);
  assert.equal(kneeOf([], 4), null);
});

test('suggestions keep to the bounds the user sets', () => {
  assert.equal(cheapestAbove(three, 0.6), three[1]);
  assert.equal(cheapestAbove(three, 1.1), null);
  assert.equal(bestBelow(three, 2), three[1]);
  assert.equal(bestBelow(three, 0.5), null);
});

test('a price is a number of 0 or more, with a point or a comma', () => {
  assert.deepEqual(['1', ' 0,25 ', '.5', '2.'].map(parsePrice), [1, 0.25, 0.5, 2]);
  assert.deepEqual(['', '-1', '1e3', 'x', '1.2.3', '9999999999999'].map(parsePrice), [
    null,
    null,
    null,
    null,
    null,
    null,
  ]);
});

test('a call that is not priced costs 1, a call of a tool that does not exist nothing', () => {
  const calls = [
    { name: 'python', status: 'ok' },
    { name: 'search', status: 'error' },
    { name: 'magic', status: 'unknown-tool' },
  ];
  assert.equal(costAt(calls, { python: 0.25 }), 1.25);
});

test('dearer calls leave less of the tool reward, and without a success there is none to compare with', () => {
  const call = { name: 'python', status: 'ok' };
  const logged = [
    { key: 1, label: '', success: true, calls: [call] },
    { key: 2, label: '', success: true, calls: [call, call] },
  ];
  const settings = { alpha: 0.5, referencePrice: 1 };
  const [cheapest, twice] = priceEffects(logged, { python: 1 }, settings);
  assert.equal(cheapest.reward, 1);
  assert.equal(twice.reward, Math.exp(-0.5));
  assert.equal(priceEffects(logged, { python: 3 }, settings)[1].reward, Math.exp(-1.5));
  assert.equal(priceEffects([{ ...logged[0], success: false }], {}, settings)[0].reward, null);
});

test('the knee moves when the tool that a point leans on becomes dear', () => {
  const at = (step: number, success: number, costBefore: number, cost: number) =>
    ({ step, success, costBefore, cost }) as RescoredPoint;
  const moved = kneeMove({
    runId: 'r',
    prices: {},
    costLimit: 12,
    hypervolume: 0,
    points: [at(1, 0.5, 0.5, 1), at(2, 0.9, 0.6, 8), at(3, 0.85, 2, 2), at(4, 1, 3, 11)],
  });
  assert.equal(moved?.before.step, 2);
  assert.equal(moved?.after.step, 3);
});
