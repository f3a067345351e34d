import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withPoint } from '../../src-main/engine/run/run-state.ts';

test('the frontier keeps what no other point dominates, and its hypervolume is the area above (0, 0)', () => {
  const point = (step: number, success: number, cost: number) =>
    ({ step, success, cost }) as Parameters<typeof withPoint>[1];
  const first = withPoint([], point(0, 0.8, 2), 4);
  assert.equal(first.hypervolume, 0.8 * 0.5);
  const cheaper = withPoint(first.frontier, point(1, 0.6, 1), 4);
  assert.ok(Math.abs(cheaper.hypervolume - (0.8 * 0.5 + 0.6 * 0.25)) < 1e-12);
  const worse = withPoint(cheaper.frontier, point(2, 0.5, 1.5), 4);
  assert.equal(worse.onFrontier, false);
  assert.equal(worse.frontier.length, 2);
});
