import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hvg, hypervolumeGradient } from '../../src-main/engine/advantage/hvg.ts';
import { mean } from '../../src-main/engine/base/statistics.ts';
import { hypervolume } from '../../src-main/engine/pareto/hypervolume.ts';
import { inputOf, mixedStep, weightedGroups } from './groups.ts';

/** Hypervolume of a group's mean vector when trajectory i counts with weight share[i] (shares sum to 1). */
function volumeOfMean(rewards: number[][], shares: number[]): number {
  const means = rewards[0].map((_, m) => rewards.reduce((sum, vector, i) => sum + shares[i] * vector[m], 0));
  return hypervolume(
    [means],
    means.map(() => 0),
  );
}

test('an advantage is the change of the hypervolume of the mean when a trajectory becomes more likely', () => {
  fc.assert(
    fc.property(weightedGroups, ({ rewards }) => {
      fc.pre(rewards.some(([success]) => success === 1));
      const advantages = hypervolumeGradient(rewards);
      const h = 1e-6;
      rewards.forEach((_, i) => {
        const toward = (step: number) => rewards.map((_, j) => (1 - step) / rewards.length + (i === j ? step : 0));
        const slope = (volumeOfMean(rewards, toward(h)) - volumeOfMean(rewards, toward(-h))) / (2 * h);
        assert.ok(Math.abs(slope - advantages[i]) < 1e-6, `${slope}, advantage ${advantages[i]}`);
      });
    }),
  );
});

test('with success and tools it is mean(tool) (success - mean) + mean(success) (tool - mean)', () => {
  const { rewards } = mixedStep[0];
  const [success, tool] = [0, 1].map((m) => mean(rewards.map((vector) => vector[m])));
  hypervolumeGradient(rewards).forEach((value, i) => {
    const expected = tool * (rewards[i][0] - success) + success * (rewards[i][1] - tool);
    assert.ok(Math.abs(value - expected) < 1e-15);
  });
});

test('while nothing succeeds, cost does not count: even where cheap failures are rewarded', () => {
  assert.deepEqual(
    hypervolumeGradient([
      [0, 1],
      [0, 0.2],
    ]).map(Math.abs),
    [0, 0],
  );
});

test('the weight of cost grows with the pass rate', () => {
  // two successes that differ by 0.5 in cost, among more and more failures
  const gap = (failures: number) => {
    const [cheap, dear] = hypervolumeGradient([[1, 1], [1, 0.5], ...new Array<number[]>(failures).fill([0, 0.5])]);
    return cheap - dear;
  };
  assert.equal(gap(0), 0.5);
  assert.equal(gap(2), 0.25);
  assert.equal(gap(6), 0.125);
});

test('with one objective it is the centred success', () => {
  assert.deepEqual(hypervolumeGradient([[1], [0], [0], [1]]), [0.5, -0.5, -0.5, 0.5]);
});

test('advantages of a group sum to 0, and a group without spread has none', () => {
  const { advantages, report } = hvg.advantages(inputOf(mixedStep), null);
  for (const row of advantages) assert.ok(Math.abs(row.reduce((sum, value) => sum + value, 0)) < 1e-12);
  assert.deepEqual(advantages[2], [0, 0, 0]);
  assert.ok(report.groupHypervolume > 0 && report.groupHypervolume < 1);
});
