import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import {
  methodNames,
  type RunConfig,
  type RunConfigInput,
  runConfigSchema,
} from '../../src-main/contract/run-config.ts';
import type { AdvantageInput } from '../../src-main/engine/advantage/method.ts';
import { makeMethod, objectiveWeights } from '../../src-main/engine/advantage/methods.ts';
import { paretopo } from '../../src-main/engine/advantage/paretopo.ts';
import { emptyFewest } from '../../src-main/engine/reward/fewest.ts';
import { scoreGroups } from '../../src-main/engine/reward/score-groups.ts';
import { groupOf, inputOf, mixedStep, weightedGroups } from './groups.ts';

function configOf(changes: Partial<RunConfigInput>): RunConfig {
  return runConfigSchema.parse({ model: 'starter:over-user', tasks: ['arithmetic'], method: 'paretopo', ...changes });
}

/** Advantages of a whole run of ten steps on the same groups. */
function runOf(changes: Partial<RunConfigInput>, groups = mixedStep): number[][][] {
  const config = configOf(changes);
  const method = makeMethod(config);
  let state = method.initialState();
  return Array.from({ length: 10 }, (_, step) => {
    const output = method.advantages(inputOf(groups, { step, weights: objectiveWeights(config) }), state);
    state = output.state;
    return output.advantages;
  });
}

/** The setting that a configuration is refused for must be named, with the value seen and what to do. */
function refused(changes: Partial<RunConfigInput>, name: string) {
  assert.throws(
    () => makeMethod(configOf(changes)),
    (error: unknown) =>
      error instanceof ParetuneError &&
      error.code === 'config' &&
      error.message.startsWith(`${name} is `) &&
      error.hint !== '',
    `${JSON.stringify(changes)} names ${name}`,
  );
}

test('each method has its own name and its own advantages', () => {
  const runs = methodNames.map((method) => {
    assert.equal(makeMethod(configOf({ method })).name, method);
    return JSON.stringify(runOf({ method }));
  });
  assert.equal(new Set(runs).size, methodNames.length);
});

test('as printed means: factor before the normalization, one archive, raw ranks', () => {
  const printed = { factor: 'before-normalization', archive: 'global', stage2: 'raw' } as const;
  assert.deepEqual(runOf({ method: 'paretopo-printed' }), runOf({ method: 'paretopo', paretopo: printed }));
});

test('stage 1 gets the first third of the steps, then ranks appear', () => {
  const method = makeMethod(configOf({}));
  const stages = [0, 1, 2, 3, 9].map((step) => method.advantages(inputOf(mixedStep, { step }), {}));
  assert.deepEqual(
    stages.map(({ report }) => report.stage),
    [1, 1, 1, 2, 2],
  );
  assert.equal(stages[0].ranks, undefined);
  assert.deepEqual(stages[3].ranks?.[2], [1, 1, 1]);
});

test('the share of stage 1 is rounded to whole steps', () => {
  const method = paretopo('p', configOf({ paretopo: { stage1Fraction: 0.07 } }).paretopo);
  const stageOf = (step: number) => method.advantages(inputOf(mixedStep, { step, totalSteps: 100 }), {}).report.stage;
  assert.ok(0.07 * 100 > 7, 'the product is above 7 by rounding');
  assert.deepEqual([stageOf(6), stageOf(7)], [1, 2]);
});

test('every option of ParetoPO changes a run', () => {
  const base = runOf({});
  const changes: RunConfigInput['paretopo'][] = [
    { stage1Fraction: 0.5 },
    { gamma: 0.5 },
    { beta: 0.5 },
    { factor: 'before-normalization' },
    { archive: 'global' },
    { archive: 'mean-vector' },
    { average: 'round-mean' },
    { average: 'sequential' },
    { stage2: 'raw' },
    { stage2: 'scaled' },
  ];
  for (const change of changes) assert.notDeepEqual(runOf({ paretopo: change }), base, JSON.stringify(change));
  assert.notDeepEqual(runOf({ weights: [0.3, 0.7] }), base);
});

test('alpha, the rule for unsolved problems, prices and the objectives change the advantages', () => {
  const outcomes = [
    { success: true, cost: 1, sampledTokens: 12 },
    { success: true, cost: 3, sampledTokens: 9 },
    { success: false, cost: 0, sampledTokens: 20 },
    { success: false, cost: 2, sampledTokens: 8 },
  ];
  const unsolved = outcomes.map((one) => ({ ...one, success: false }));
  const advantagesOf = (changes: Partial<RunConfigInput>, paid = (cost: number) => cost) => {
    const config = configOf({ method: 'static', ...changes });
    const price = ({ cost, ...rest }: (typeof outcomes)[number]) => ({ ...rest, cost: paid(cost) });
    const { groups } = scoreGroups(
      [outcomes, unsolved].map((list, p) => ({ problemId: String(p), outcomes: list.map(price) })),
      emptyFewest(),
      { ...config, referencePrice: 1, referenceLength: 10 },
    );
    const method = makeMethod(config);
    return method.advantages(inputOf(groups, { weights: objectiveWeights(config) }), method.initialState()).advantages;
  };
  const base = JSON.stringify(advantagesOf({}));
  const three = {
    objectives: ['success', 'tool', 'length'],
    weights: [0.5, 0.3, 0.2],
  } satisfies Partial<RunConfigInput>;
  const changed = [
    advantagesOf({ alpha: 1 }),
    advantagesOf({ unsolved: 'optimal-is-zero' }),
    advantagesOf({ unsolved: 'group-minimum', alpha: 2 }),
    advantagesOf({}, (cost) => cost ** 2),
    advantagesOf({ weights: [0.9, 0.1] }),
    advantagesOf(three),
    advantagesOf({ ...three, alpha: 1 }),
  ];
  assert.equal(new Set([base, ...changed.map((one) => JSON.stringify(one))]).size, changed.length + 1);
  // before a first success `zero` and `one` make no difference between trajectories: the same gradient, on purpose
  assert.deepEqual(advantagesOf({ unsolved: 'one' })[1], [0, 0, 0, 0]);
  assert.equal(JSON.stringify(advantagesOf({ unsolved: 'one' })), base);
});

test('an option of ParetoPO with another method is refused by name', () => {
  const changes = {
    stage1Fraction: 0.5,
    gamma: 0.5,
    beta: 0.5,
    factor: 'before-normalization',
    archive: 'global',
    average: 'sequential',
    stage2: 'raw',
  } as const;
  for (const method of ['grpo', 'static', 'hvg'] as const) {
    for (const [name, value] of Object.entries(changes))
      refused({ method, paretopo: { [name]: value } }, `paretopo.${name}`);
  }
});

test('what is fixed as printed is refused, unless it is set to just that', () => {
  refused({ method: 'paretopo-printed', paretopo: { stage2: 'scaled' } }, 'paretopo.stage2');
  refused({ method: 'paretopo-printed', paretopo: { archive: 'mean-vector' } }, 'paretopo.archive');
  makeMethod(configOf({ method: 'paretopo-printed', paretopo: { stage2: 'raw', archive: 'global', gamma: 0.5 } }));
});

test('an option that another option makes idle is refused by name', () => {
  refused({ paretopo: { stage1Fraction: 0, gamma: 0.5 } }, 'paretopo.gamma');
  refused({ paretopo: { stage1Fraction: 0, archive: 'global' } }, 'paretopo.archive');
  refused({ paretopo: { stage1Fraction: 1, beta: 0.5 } }, 'paretopo.beta');
  refused({ paretopo: { stage1Fraction: 1, stage2: 'raw' } }, 'paretopo.stage2');
  refused({ paretopo: { gamma: 1 } }, 'paretopo.gamma');
  refused({ paretopo: { archive: 'mean-vector', average: 'sequential' } }, 'paretopo.average');
  refused({ paretopo: { archive: 'mean-vector', factor: 'before-normalization' } }, 'paretopo.factor');
  refused({ paretopo: { average: 'round-mean', factor: 'before-normalization' } }, 'paretopo.average');
  refused({ method: 'paretopo-printed', paretopo: { average: 'round-mean' } }, 'paretopo.average');
});

test('weights are refused by a method that has none, and must fit the objectives of one that has', () => {
  refused({ method: 'hvg', weights: [0.5, 0.5] }, 'weights');
  refused({ method: 'grpo', weights: [1, 0] }, 'weights');
  refused({ paretopo: { stage1Fraction: 0, beta: 0 }, weights: [1, 0] }, 'weights');
  refused({ objectives: ['success', 'tool', 'length'] }, 'weights');
  refused({ method: 'static', weights: [0, 0] }, 'weights');
  assert.deepEqual(objectiveWeights(configOf({ weights: [3, 1] })), [0.75, 0.25]);
  assert.deepEqual(objectiveWeights(configOf({ method: 'hvg', objectives: ['success'] })), [1]);
});

test('any number of objectives goes through every method', () => {
  const three = [
    groupOf('p', [
      [1, 0.5, 1],
      [1, 1, 0.3],
      [0, 1, 1],
      [0, 0.2, 0.2],
    ]),
  ];
  for (const method of methodNames) {
    const weighed = !['grpo', 'hvg', 'otc', 'mo-grpo'].includes(method);
    for (const advantages of runOf(
      { method, objectives: ['success', 'tool', 'length'], ...(weighed && { weights: [0.5, 0.3, 0.2] }) },
      three,
    )) {
      assert.ok(advantages[0].every(Number.isFinite));
      assert.ok(advantages[0][0] > advantages[0][3]);
    }
  }
});

test('an ungraded trajectory gets advantage 0, rank 0, and changes nothing for the others', () => {
  for (const name of methodNames) {
    const method = makeMethod(configOf({ method: name }));
    for (const step of [0, 9]) {
      fc.assert(
        fc.property(weightedGroups, fc.nat(), ({ rewards, weights }, where) => {
          const at = where % (rewards.length + 1);
          const whole = groupOf('p', rewards);
          const zeros = weights.map(() => 0);
          const holed: AdvantageInput['groups'][number] = {
            ...whole,
            rewards: rewards.toSpliced(at, 0, zeros),
            successes: whole.successes.toSpliced(at, 0, null),
            costs: whole.costs.toSpliced(at, 0, 3),
            tokens: whole.tokens.toSpliced(at, 0, 99),
          };
          const without = method.advantages(inputOf([whole], { weights, step }), method.initialState());
          const lost = { ...groupOf('q', [zeros]), successes: [null] };
          const output = method.advantages(inputOf([lost, holed], { weights, step }), method.initialState());
          assert.deepEqual(output.advantages, [[0], without.advantages[0].toSpliced(at, 0, 0)]);
          assert.deepEqual(output.ranks, without.ranks && [[0], without.ranks[0].toSpliced(at, 0, 0)]);
          assert.deepEqual([output.state, output.report], [without.state, without.report]);
        }),
        { numRuns: 20 },
      );
    }
  }
});

test('a step in which nothing could be graded leaves the state as it is', () => {
  const method = makeMethod(configOf({}));
  const lost = { ...groupOf('q', [[0, 0]]), successes: [null] };
  const state = { q: { archive: [[1, 1]], average: 0.3 } };
  assert.deepEqual(method.advantages(inputOf([lost]), state), { advantages: [[0]], report: {}, state });
});

test('a group without any difference has advantage exactly 0 under every method but the printed ranks', () => {
  const same = [groupOf('p', new Array(7).fill([1, 0.7]))];
  for (const method of methodNames) {
    runOf({ method }, same).forEach((advantages, step) => {
      const expected = method === 'paretopo-printed' && step >= 3 ? 1 : 0;
      assert.deepEqual(advantages[0], new Array(7).fill(expected));
    });
  }
});
