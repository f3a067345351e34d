/** Which policies are on the frontier of three objectives, and what they are measured by. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nonDominatedSort } from '../../src-main/engine/pareto/non-dominated-sort.ts';
import { measures, nonDominated, objectiveMeasures } from '../../src-renderer/frontier/objectives.ts';
import type { ViewPoint } from '../../src-renderer/runs/run-view.ts';

const at = (success: number, cost: number, responseLength: number) =>
  ({ success, cost, responseLength, calls: cost, successLow: success - 0.1, successHigh: success + 0.1 }) as ViewPoint;
const three = objectiveMeasures(['success', 'tool', 'length']);

test('a policy that is beaten in success and cost stays on the frontier where it is the shortest', () => {
  const [good, short, bad] = [at(0.9, 1, 20), at(0.8, 1.2, 10), at(0.8, 1.2, 21)];
  assert.deepEqual(nonDominated([good, short, bad], three), [good, short]);
  assert.deepEqual(nonDominated([good, short, bad], objectiveMeasures(['success', 'tool'])), [good]);
  assert.deepEqual(nonDominated([good, { ...good }], three).length, 2);
});

test("the window's frontier is the engine's first front", () => {
  const value = fc.integer({ min: 0, max: 5 });
  fc.assert(
    fc.property(fc.array(fc.tuple(value, value, value), { maxLength: 20 }), (vectors) => {
      const points = vectors.map(([success, cost, length]) => at(success, cost, length));
      const ranks = nonDominatedSort(vectors.map(([success, cost, length]) => [success, -cost, -length]));
      assert.deepEqual(
        nonDominated(points, three),
        points.filter((_, i) => ranks[i] === 1),
      );
    }),
  );
});

test('objectives are measured in the order of the run, and only success has to rise', () => {
  assert.deepEqual(
    objectiveMeasures(['success', 'length', 'tool']).map(({ name }) => name),
    ['success', 'length', 'cost'],
  );
  assert.deepEqual(
    measures.map(({ name, sign }) => `${name} ${sign}`),
    ['success 1', 'cost -1', 'length -1', 'calls -1'],
  );
  assert.deepEqual(measures[0].interval(at(0.5, 1, 1)), [0.4, 0.6]);
  assert.equal(measures[2].interval(at(0.5, 1, 1)), null);
});
