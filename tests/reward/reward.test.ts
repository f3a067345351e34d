import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { inUnitsOf, measureReferencePrice } from '../../src-main/engine/reward/amounts.ts';
import { emptyFewest, fewestOf } from '../../src-main/engine/reward/fewest.ts';
import {
  type Outcome,
  type OutcomeGroup,
  type RewardRules,
  scoreGroups,
} from '../../src-main/engine/reward/score-groups.ts';

const rules: RewardRules = {
  objectives: ['success', 'tool'],
  alpha: 0.5,
  unsolved: 'zero',
  referencePrice: 1,
  referenceLength: 20,
};

const outcome = (success: boolean | null, cost: number, sampledTokens = 10): Outcome => ({
  success,
  cost,
  sampledTokens,
});

const group = (problemId: string, ...outcomes: Outcome[]): OutcomeGroup => ({ problemId, outcomes });

/** Steps of up to 3 groups on up to 3 problems, prices on a coarse grid of thirds. */
const steps = fc.array(
  fc.array(
    fc.record({
      problemId: fc.constantFrom('a', 'b', '__proto__'),
      outcomes: fc.array(
        fc.record({
          success: fc.constantFrom(true, false, null),
          cost: fc.nat(20).map((n) => n * 0.3),
          sampledTokens: fc.nat(50),
        }),
        { minLength: 1, maxLength: 5 },
      ),
    }),
    { maxLength: 3 },
  ),
  { minLength: 1, maxLength: 5 },
);

test('with unit prices the tool reward is the formula of the paper, for failures too', () => {
  const { groups } = scoreGroups(
    [group('p', outcome(true, 3), outcome(true, 1), outcome(false, 0))],
    emptyFewest(),
    rules,
  );
  assert.deepEqual(groups[0].rewards, [
    [1, Math.exp(-0.5 * 2)],
    [1, 1],
    [0, Math.exp(-0.5 * 1)],
  ]);
  assert.deepEqual(groups[0].successes, [1, 1, 0]);
});

test('the fewest calls count the round at hand first, never rise, and no success is below them', () => {
  fc.assert(
    fc.property(steps, (run) => {
      let fewest = emptyFewest();
      const best = new Map<string, number>();
      for (const step of run) {
        const frozen = JSON.stringify(fewest);
        const before = fewest;
        fewest = scoreGroups(step, before, rules).fewest;
        assert.equal(JSON.stringify(before), frozen);
        for (const { problemId, outcomes } of step) {
          for (const { success, cost } of outcomes) {
            if (success)
              best.set(problemId, Math.min(best.get(problemId) ?? Number.POSITIVE_INFINITY, inUnitsOf(1, cost)));
          }
        }
        for (const id of ['a', 'b', '__proto__']) assert.equal(fewestOf(fewest, 'tool', id), best.get(id));
        assert.deepEqual(JSON.parse(JSON.stringify(fewest)), fewest);
      }
    }),
  );
});

test('every reward lies in [0, 1], and the cheapest success so far has a tool reward of exactly 1', () => {
  fc.assert(
    fc.property(steps, (run) => {
      let fewest = emptyFewest();
      for (const step of run) {
        const scored = scoreGroups(step, fewest, { ...rules, objectives: ['success', 'tool', 'length'] });
        fewest = scored.fewest;
        scored.groups.forEach(({ problemId, rewards }, p) => {
          rewards.forEach((vector, g) => {
            assert.equal(vector.length, 3);
            assert.ok(vector.every((reward) => reward >= 0 && reward <= 1));
            const { success, cost } = step[p].outcomes[g];
            const cheapest = fewestOf(fewest, 'tool', problemId) === inUnitsOf(1, cost);
            if (success) assert.equal(vector[1] === 1, cheapest);
          });
        });
      }
    }),
  );
});

test('all prices times a thousand, or a thousandth, give the same rewards to the last bit', () => {
  fc.assert(
    fc.property(steps, fc.constantFrom(1000, 0.001, 86_400, 1 / 3), (run, factor) => {
      const scaled = (step: OutcomeGroup[]) =>
        step.map(({ problemId, outcomes }) => ({
          problemId,
          outcomes: outcomes.map((one) => ({ ...one, cost: one.cost * factor })),
        }));
      let [here, there] = [emptyFewest(), emptyFewest()];
      for (const step of run) {
        const one = scoreGroups(step, here, { ...rules, referencePrice: 0.7 });
        const other = scoreGroups(scaled(step), there, { ...rules, referencePrice: 0.7 * factor });
        assert.deepEqual(other, one);
        [here, there] = [one.fewest, other.fewest];
      }
    }),
  );
});

test('prices summed in another order give the same amount', () => {
  assert.notEqual(0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1);
  assert.equal(inUnitsOf(0.2, 0.1 + 0.2 + 0.3), inUnitsOf(0.2, 0.3 + 0.2 + 0.1));
  assert.equal(inUnitsOf(1, 4), 4);
  assert.equal(inUnitsOf(0, 0), 0);
  assert.throws(() => inUnitsOf(0, 1), /internal/);
});

test('before a first success each rule gives its own rewards, and the table stays empty', () => {
  const failed = [group('p', outcome(false, 1), outcome(false, 3), outcome(null, 0))];
  const toolRewards = (unsolved: RewardRules['unsolved']) => {
    const scored = scoreGroups(failed, emptyFewest(), { ...rules, unsolved });
    assert.deepEqual(scored.fewest, emptyFewest());
    return scored.groups[0].rewards.slice(0, 2).map(([, tool]) => tool);
  };
  assert.deepEqual(toolRewards('zero'), [0, 0]);
  assert.deepEqual(toolRewards('one'), [1, 1]);
  assert.deepEqual(toolRewards('optimal-is-zero'), [Math.exp(-0.5), Math.exp(-1.5)]);
  assert.deepEqual(toolRewards('group-minimum'), [1, Math.exp(-1)]);
});

test('an ungraded trajectory has no reward, no success, and no part in any minimum', () => {
  const { groups, fewest } = scoreGroups([group('p', outcome(null, 0), outcome(true, 2))], emptyFewest(), rules);
  assert.deepEqual(groups[0].rewards, [
    [0, 0],
    [1, 1],
  ]);
  assert.deepEqual(groups[0].successes, [null, 1]);
  assert.equal(fewestOf(fewest, 'tool', 'p'), 2);
});

test('objectives come in the order of the run, and length is measured like cost', () => {
  const step = [group('p', outcome(true, 1, 30), outcome(true, 2, 10))];
  const { groups } = scoreGroups(step, emptyFewest(), { ...rules, objectives: ['success', 'length', 'tool'] });
  assert.deepEqual(groups[0].rewards, [
    [1, Math.exp(-0.5), 1],
    [1, 1, Math.exp(-0.5)],
  ]);
});

test('a problem that comes twice in a step is scored by the successes of both groups', () => {
  const step = [group('p', outcome(true, 3)), group('p', outcome(true, 1))];
  const { groups } = scoreGroups(step, emptyFewest(), rules);
  assert.deepEqual(
    groups.map(({ rewards }) => rewards[0][1]),
    [Math.exp(-1), 1],
  );
});

test('the reference price is the mean price of a call, else the mean of the prices, else 1', () => {
  const trajectories = [
    { cost: 2, calls: 1 },
    { cost: 4, calls: 2 },
    { cost: 0, calls: 0 },
  ];
  assert.equal(measureReferencePrice(trajectories, [9]), 2);
  assert.equal(measureReferencePrice([{ cost: 0, calls: 3 }], [0, 2, 4]), 3);
  assert.equal(measureReferencePrice([], [0]), 1);
});
