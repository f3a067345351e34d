import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { rankGroup, type Stage2Options, stage2 } from '../../src-main/engine/advantage/paretopo-stage2.ts';
import { groupOf, inputOf, mixedStep, weightedGroups } from './groups.ts';

const advantagesOf = (options: Stage2Options, groups = mixedStep) => stage2(inputOf(groups), options).advantages;
const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0);
const beta = fc.double({ min: 0, max: 1, noNaN: true });

test('no worse rank ever gets a larger advantage, for any number of objectives', () => {
  fc.assert(
    fc.property(weightedGroups, beta, ({ rewards, weights }, spread) => {
      const { ranks, raw } = rankGroup(rewards, weights, spread);
      for (let i = 0; i < raw.length; i++) {
        for (let j = 0; j < raw.length; j++) if (ranks[i] > ranks[j]) assert.ok(raw[i] <= raw[j] + 1e-12);
      }
    }),
  );
});

test('the mean square of the printed advantages is at most (N_rank + beta / 2) squared', () => {
  fc.assert(
    fc.property(weightedGroups, beta, ({ rewards, weights }, spread) => {
      const { raw, frontCount } = rankGroup(rewards, weights, spread);
      assert.ok(total(raw.map((value) => value * value)) / raw.length <= (frontCount + spread / 2) ** 2 + 1e-9);
    }),
  );
});

test('advantages belong to the trajectories, not to their places', () => {
  fc.assert(
    fc.property(weightedGroups, fc.nat(), ({ rewards, weights }, shift) => {
      const by = shift % rewards.length;
      const turned = [...rewards.slice(by), ...rewards.slice(0, by)];
      for (const form of ['raw', 'centred', 'scaled'] as const) {
        const [straight, rotated] = [rewards, turned].map(
          (vectors) => stage2(inputOf([groupOf('p', vectors)], { weights }), { beta: 1, stage2: form }).advantages[0],
        );
        const back = [...rotated.slice(rotated.length - by), ...rotated.slice(0, rotated.length - by)];
        straight.forEach((value, g) => {
          assert.ok(Math.abs(value - back[g]) < 1e-9);
        });
      }
    }),
  );
});

test('as printed every trajectory is pushed up; centred ones sum to 0 and a group without spread gets exactly 0', () => {
  assert.ok(
    advantagesOf({ beta: 1, stage2: 'raw' })
      .flat()
      .every((value) => value > 0),
  );
  assert.deepEqual(advantagesOf({ beta: 1, stage2: 'raw' })[2], [1, 1, 1]);
  for (const form of ['centred', 'scaled'] as const) {
    const advantages = advantagesOf({ beta: 1, stage2: form });
    for (const row of advantages) assert.ok(Math.abs(total(row)) < 1e-9);
    assert.deepEqual(advantages[2], [0, 0, 0]);
  }
});

test('every option of stage 2 changes the advantages', () => {
  const seen = new Set<string>();
  for (const form of ['raw', 'centred', 'scaled'] as const) {
    for (const spread of [0, 0.5, 1]) seen.add(JSON.stringify(advantagesOf({ beta: spread, stage2: form })));
  }
  assert.equal(seen.size, 9);
});

test('a free failure outranks a success with two spare calls: the trap that centring does not mend', () => {
  const rewards = [0, 1, 2, 3].map((calls) => [1, Math.exp(-calls / 2)]).concat([[0, 1]]);
  const { ranks, raw } = rankGroup(rewards, [0.6, 0.4], 1);
  assert.deepEqual(ranks, [1, 2, 3, 4, 2]);
  assert.ok(raw[4] > raw[2]);
});

test('weighted sums that differ by rounding only count as equal within a front', () => {
  const weights = [1 / 3, 1 / 3, 1 / 3];
  const rewards = [
    [0.1, 0.2, 0.3],
    [0.3, 0.2, 0.1],
    [0.2, 0.3, 0.1],
  ];
  assert.deepEqual(rankGroup(rewards, weights, 1).within, [0.5, 0.5, 0.5]);
});

test('ranks and the mean number of fronts are reported', () => {
  const { ranks, report } = stage2(inputOf(mixedStep), { beta: 1, stage2: 'centred' });
  assert.deepEqual(ranks?.[2], [1, 1, 1]);
  assert.deepEqual(ranks?.[0], [2, 1, 2, 4, 3]);
  assert.deepEqual(report, { stage: 2, fronts: 2 });
});
