/** Three objectives from rollout to weights: success, tool cost and response length, under every method, in runs of two steps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { methodNames, readsWeights } from '../../src-main/contract/run-config.ts';
import { lastOf, runEvents, temporaryFolder, tinyConfig } from './starter.ts';

test('every method runs with three objectives, each rewarded for itself, and moves the weights', async (t) => {
  for (const method of methodNames) {
    const settings = {
      method,
      steps: 2,
      selectionProblems: 4,
      reportProblems: 4,
      objectives: ['success', 'tool', 'length'] as ('success' | 'tool' | 'length')[],
    };
    const weighed = readsWeights(tinyConfig(settings)) ? { weights: [0.5, 0.3, 0.2] } : {};
    const events = await runEvents(tinyConfig({ ...settings, ...weighed }), temporaryFolder(t));
    assert.equal(lastOf(events, 'ended').status, 'finished', method);
    const trajectories = events.flatMap((event) =>
      event.kind === 'step' ? event.groups.flatMap((group) => group.trajectories) : [],
    );
    assert.equal(trajectories.length, 32, method);
    for (const { rewards, advantage, paretoRank } of trajectories) {
      assert.ok(rewards.length === 3 && rewards.every((value) => value >= 0 && value <= 1), method);
      assert.ok(Number.isFinite(advantage) && Number.isInteger(paretoRank), method);
    }
    for (const m of [0, 1, 2]) {
      assert.ok(new Set(trajectories.map(({ rewards }) => rewards[m])).size > 1, `${method}: objective ${m} varies`);
    }
    const apart = trajectories.filter(({ rewards }) => Math.abs(rewards[1] - rewards[2]) > 1e-6).length;
    assert.ok(apart > 0, `${method}: length is not the tool cost once more`);
    const moved = events.some((event) => event.kind === 'step' && event.metrics.gradNorm > 0);
    assert.ok(moved, `${method}: a gradient`);
    const points = events.flatMap((event) => (event.kind === 'evaluated' ? [event.point] : []));
    assert.ok(
      points.every(({ responseLength }) => responseLength > 0),
      method,
    );
    if (method.startsWith('paretopo')) {
      assert.ok(
        trajectories.some(({ paretoRank }) => paretoRank !== null && paretoRank > 1),
        method,
      );
    }
  }
});
