/** The trainer on a tiny random model: what must not change a gradient or an update, and what must. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { parseModelConfig } from '../../src-main/engine/model/model-config.ts';
import {
  copyPolicy,
  makePolicy,
  mergedWeights,
  type Policy,
  randomPolicy,
  trainable,
} from '../../src-main/engine/runtime/policy.ts';
import { type Aggregation, packBatch, type TrainRow, tokenWeights } from '../../src-main/engine/train/pack-batch.ts';
import type { PolicyLossOptions } from '../../src-main/engine/train/policy-loss.ts';
import { Trainer, type TrainerSettings } from '../../src-main/engine/train/trainer.ts';
import { otherConfigs, smallPolicies } from '../webgpu/our-graphs.ts';

const config = parseModelConfig({
  model_type: 'qwen2',
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 24,
  vocab_size: 37,
  max_position_embeddings: 64,
});
const start = randomPolicy(config, randomStream(1, 'trainer test'), 0.3);
const lora = { rank: 2, alpha: 4, targets: ['q_proj', 'down_proj'] };
/** With an adapter whose second matrix is not zero any more, so that both get a gradient. */
const adapted = makePolicy(config, mergedWeights(start), lora);
for (const [i] of adapted.lora!.parameters.flat.entries()) adapted.lora!.parameters.flat[i] = Math.sin(i) / 10;

const policyGradient: PolicyLossOptions = {
  clipLow: 0.2,
  clipHigh: 0.2,
  delta: null,
  klCoefficient: 0,
  klForm: 'plain',
  importance: 'token',
  old: 'current',
};
const settings: TrainerSettings = {
  objective: policyGradient,
  aggregation: 'batch-token',
  maxTokens: 32,
  microBatchTokens: 10_000,
  maxGradNorm: 1,
  threads: 1,
  beta1: 0.9,
  beta2: 0.95,
  epsilon: 1e-8,
  weightDecay: 0.01,
};

/** Rows of different lengths and advantages, with untrained tokens in between. */
function someRows(count: number, random = randomStream(2, 'rows')): TrainRow[] {
  return Array.from({ length: count }, (_, row) => {
    const length = 4 + ((row * 5) % 11);
    const tokens = Array.from({ length }, () => Math.floor(random.next() * config.vocabSize));
    const trained = tokens.flatMap((_token, t) => (t >= 2 && t % 4 !== 3 ? [t] : []));
    return {
      tokens,
      trained,
      advantage: row % 3 === 0 ? -1.5 : 1,
      oldLogprobs: trained.map(() => -3 - random.next()),
      referenceLogprobs: trained.map(() => -3 - random.next()),
    };
  });
}

const trainers: Trainer[] = [];
after(async () => {
  for (const trainer of trainers) await trainer.dispose();
});
function newTrainer(changes: Partial<TrainerSettings> = {}, policy: Policy = copyPolicy(start)): Trainer {
  const trainer = new Trainer(policy, { ...settings, ...changes });
  trainers.push(trainer);
  return trainer;
}
async function gradientOf(trainer: Trainer, rows: readonly TrainRow[]): Promise<Float32Array> {
  return Float32Array.from((await trainer.gradient(rows)).gradient);
}
function assertSame(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  const scale = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const off = actual.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i])), 0);
  assert.ok(scale > 0);
  assert.ok(off <= tolerance * scale, `differs by ${off}, the largest value is ${scale}`);
}
const bytes = (numbers: Float32Array) => Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength);

describe('the gradient', () => {
  const rows = someRows(7);

  for (const aggregation of ['batch-token', 'sequence-mean', 'constant'] satisfies Aggregation[]) {
    test(`is the same however the batch is cut (${aggregation})`, async () => {
      const whole = newTrainer({ aggregation });
      const expected = await whole.gradient(rows);
      const expectedGradient = Float32Array.from(expected.gradient);
      for (const microBatchTokens of [1, 20, 45]) {
        const trainer = newTrainer({ aggregation, microBatchTokens });
        const { gradient, metrics } = await trainer.gradient(rows);
        assertSame(gradient, expectedGradient, 1e-6);
        assert.ok(Math.abs(metrics.loss - expected.metrics.loss) < 1e-6);
        assert.ok(Math.abs(metrics.entropy - expected.metrics.entropy) < 1e-5);
        assert.equal(metrics.tokens, expected.metrics.tokens);
        for (const [row, logprobs] of metrics.logprobs.entries()) {
          assertSame(logprobs, expected.metrics.logprobs[row], 1e-5);
        }
      }
    });
  }

  test('is the same however a batch with sequence importance, clipping and a KL term is cut', async () => {
    const objective: PolicyLossOptions = {
      ...policyGradient,
      old: 'input',
      importance: 'sequence',
      klCoefficient: 0.1,
      klForm: 'corrected',
    };
    const { gradient, metrics } = await newTrainer({ objective }).gradient(rows);
    const expected = Float32Array.from(gradient);
    assert.ok(metrics.kl !== null && metrics.kl > 0 && metrics.clipFraction > 0);
    const cut = await newTrainer({ objective, microBatchTokens: 20 }).gradient(rows);
    assertSame(cut.gradient, expected, 1e-6);
    assert.ok(Math.abs(cut.metrics.kl! - metrics.kl) < 1e-5);
    assert.ok(Math.abs(cut.metrics.clipFraction - metrics.clipFraction) < 1e-9);
  });

  for (const [what, policy] of [
    ['all weights', start],
    ['an adapter', adapted],
  ] as const) {
    test(`of ${what} is the same with layers computed again, and with a head in parts, also more parts than rows`, async () => {
      const objective: PolicyLossOptions = {
        ...policyGradient,
        old: 'input',
        importance: 'sequence',
        klCoefficient: 0.1,
      };
      const expected = await newTrainer({ objective }, copyPolicy(policy)).gradient(rows);
      const expectedGradient = Float32Array.from(expected.gradient);
      for (const [changes, tolerance] of [
        [{ recompute: true }, 0],
        [{ recompute: true, microBatchTokens: 32, headBytes: 4 * config.vocabSize * 16 }, 1e-6],
        [{ recompute: true, microBatchTokens: 32, headBytes: 4 * config.vocabSize * 2 }, 1e-6],
      ] as const) {
        const trainer = newTrainer({ objective, ...changes }, copyPolicy(policy));
        const { gradient, metrics } = await trainer.gradient(rows);
        assertSame(gradient, expectedGradient, tolerance);
        const scores = await trainer.score(rows);
        for (const [row, logprobs] of expected.metrics.logprobs.entries()) {
          assertSame(metrics.logprobs[row], logprobs, tolerance);
          assertSame(scores.logprobs[row], logprobs, 1e-6);
        }
        assert.ok(Math.abs(metrics.entropy - expected.metrics.entropy) < 1e-6);
        assert.ok(Math.abs(scores.entropy - metrics.entropy) < 1e-6);
        assert.ok(Math.abs(metrics.kl! - expected.metrics.kl!) < 1e-6);
      }
    });
  }

  for (const [what, policy] of [
    ['all weights', start],
    ['an adapter', adapted],
    ...otherConfigs().map((other) => [`a ${other.family} with a window`, smallPolicies(96, other).full] as const),
  ] as const) {
    const { config } = policy;
    test(`of ${what} is the same where samples share their prompt's computation as where each has its own`, async () => {
      const random = randomStream(3, 'groups');
      const draw = (length: number) => Array.from({ length }, () => Math.floor(random.next() * config.vocabSize));
      const groups = [draw(70), draw(64)].flatMap((prompt) =>
        Array.from({ length: 4 }, (_, sample): TrainRow => {
          const tokens = [...prompt, ...draw(3 + (sample % 4) * 2)];
          const trained = tokens.flatMap((_token, t) => (t >= prompt.length && t % 4 !== 3 ? [t] : []));
          const logprobs = () => trained.map(() => -3 - random.next());
          return { tokens, trained, advantage: sample - 1.5, oldLogprobs: logprobs(), referenceLogprobs: logprobs() };
        }),
      );
      const objective: PolicyLossOptions = {
        ...policyGradient,
        old: 'input',
        importance: 'sequence',
        klCoefficient: 0.1,
      };
      const shapes = (budget: number) =>
        packBatch(groups, tokenWeights(groups, 'batch-token', 32), budget, config.hiddenSize).map(
          ({ feeds }) => feeds.ids.shape,
        );
      assert.deepEqual(shapes(1).length, 8, 'each on its own');
      assert.deepEqual(shapes(10_000), [[2, 4, 9]], 'two families in one micro-batch');
      assert.deepEqual(
        shapes(110),
        [
          [1, 4, 9],
          [1, 4, 9],
        ],
        'a family each',
      );
      const alone = await newTrainer({ objective, microBatchTokens: 1, maxTokens: 96 }, copyPolicy(policy)).gradient(
        groups,
      );
      for (const recompute of [false, true]) {
        const trainer = newTrainer({ objective, recompute, maxTokens: 96 }, copyPolicy(policy));
        const joined = await trainer.gradient(groups);
        assertSame(joined.gradient, alone.gradient, 1e-5);
        const scores = await trainer.score(groups);
        for (const [row, logprobs] of alone.metrics.logprobs.entries()) {
          assertSame(joined.metrics.logprobs[row], logprobs, 1e-6);
          assertSame(scores.logprobs[row], logprobs, 1e-6);
        }
        assert.ok(Math.abs(joined.metrics.loss - alone.metrics.loss) < 1e-5);
        assert.ok(Math.abs(joined.metrics.kl! - alone.metrics.kl!) < 1e-5);
      }
    });
  }

  test('does not depend on the order of the rows', async () => {
    const trainer = newTrainer();
    const expected = await gradientOf(trainer, rows);
    assertSame(await gradientOf(trainer, [...rows].reverse()), expected, 1e-6);
  });

  test('counts every token of a batch alike, or every sequence, or divides by a constant', async () => {
    const [short, long] = [someRows(1)[0], { ...someRows(3)[2], advantage: 0.5 }];
    assert.ok(long.trained.length > short.trained.length);
    const alone = newTrainer();
    const [a, b] = [await gradientOf(alone, [short]), await gradientOf(alone, [long])];
    const mix = (x: number, y: number) => a.map((value, i) => x * value + y * b[i]);
    const [n, m] = [short.trained.length, long.trained.length];
    const both = async (aggregation: Aggregation) => gradientOf(newTrainer({ aggregation }), [short, long]);
    assertSame(await both('batch-token'), mix(n / (n + m), m / (n + m)), 1e-5);
    assertSame(await both('sequence-mean'), mix(1 / 2, 1 / 2), 1e-5);
    assertSame(await both('constant'), mix(n / (2 * 32), m / (2 * 32)), 1e-5);
  });

  test('comes from trained tokens only, and untrained rows dilute nothing', async () => {
    const trainer = newTrainer();
    const expected = await gradientOf(trainer, rows);
    const changed = rows.map((row) => ({ ...row, tokens: [...row.tokens, 5, 6, 7] }));
    assertSame(await gradientOf(trainer, changed), expected, 1e-6);
    assertSame(await gradientOf(trainer, [...rows, { ...rows[0], trained: [] }]), expected, 1e-6);
  });

  test('rows with advantage 0 are not computed, but count in the normalizer', async () => {
    const trainer = newTrainer();
    const expected = await gradientOf(trainer, rows.slice(0, 3));
    const idle = rows.slice(3).map((row) => ({ ...row, advantage: 0 }));
    const { gradient, metrics } = await trainer.gradient([...rows.slice(0, 3), ...idle]);
    const count = (list: readonly TrainRow[]) => list.reduce((sum, { trained }) => sum + trained.length, 0);
    const share = count(rows.slice(0, 3)) / count(rows);
    assertSame(
      gradient,
      expected.map((value) => value * share),
      1e-6,
    );
    assert.deepEqual(
      metrics.logprobs.map((logprobs) => logprobs.length > 0),
      rows.map((_, i) => i < 3),
    );
  });
});

describe('an update', () => {
  const rows = someRows(5);

  test('twice from the same start gives the same bytes', async () => {
    const results: Buffer[][] = [];
    for (let i = 0; i < 2; i++) {
      const policy = copyPolicy(start);
      const trainer = newTrainer({ microBatchTokens: 20 }, policy);
      for (let update = 0; update < 3; update++) await trainer.update(rows, 1e-2);
      results.push([policy.base.flat, trainer.optimizer.m, trainer.optimizer.v].map(bytes));
    }
    assert.deepEqual(results[0], results[1]);
    assert.notDeepEqual(results[0][0], bytes(start.base.flat));
  });

  test('makes what was rewarded likelier and what was punished less likely', async () => {
    const trainer = newTrainer();
    const before = (await trainer.score(rows)).logprobs;
    await trainer.update(rows, 1e-2);
    const now = (await trainer.score(rows)).logprobs;
    const sum = (list: Float32Array) => list.reduce((total, x) => total + x, 0);
    const gain = rows.reduce((total, row, i) => total + row.advantage * (sum(now[i]) - sum(before[i])), 0);
    assert.ok(gain > 0.1, `gained ${gain}`);
  });

  test('decays matrices, but neither norms nor biases', async () => {
    const policy = copyPolicy(start);
    const trainer = newTrainer({ weightDecay: 1000, objective: 'supervised' }, policy);
    await trainer.update(rows, 1e-3);
    for (const { name, shape } of policy.base.specs) {
      const largest = policy.base.tensors[name].data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      // a decay of 1 leaves only Adam's first step, at most the learning rate
      if (shape.length > 1) assert.ok(largest <= 1.1e-3, `${name} keeps ${largest}`);
      else if (name.endsWith('norm.weight')) assert.ok(largest >= 0.99, `${name} decayed to ${largest}`);
    }
  });

  for (const [what, damage] of [
    ['an infinite advantage', (row: TrainRow) => ({ ...row, advantage: Number.POSITIVE_INFINITY })],
    ['an advantage that is no number', (row: TrainRow) => ({ ...row, advantage: Number.NaN })],
  ] as const) {
    test(`with ${what} leaves weights and optimizer as they were, and says so`, async () => {
      const policy = copyPolicy(start);
      const trainer = newTrainer({}, policy);
      const metrics = await trainer.update([rows[1], damage(rows[0])], 1e-2);
      assert.ok(!Number.isFinite(metrics.loss) || !Number.isFinite(metrics.gradNorm));
      assert.deepEqual(bytes(policy.base.flat), bytes(start.base.flat));
      assert.equal(trainer.optimizer.updates, 0);
      assert.ok(trainer.optimizer.m.every((x) => x === 0));
      const { loss } = await trainer.update(rows, 1e-2);
      assert.ok(Number.isFinite(loss));
      assert.equal(trainer.optimizer.updates, 1);
    });
  }

  test('with weights that are no numbers is refused as well', async () => {
    const policy = copyPolicy(start);
    policy.base.flat[0] = Number.NaN;
    const kept = bytes(policy.base.flat).toString('hex');
    const trainer = newTrainer({}, policy);
    const metrics = await trainer.update([{ ...rows[0], tokens: rows[0].tokens.map(() => 0) }], 1e-2);
    assert.ok(Number.isNaN(metrics.loss));
    assert.equal(bytes(policy.base.flat).toString('hex'), kept);
  });
});

describe('an adapter', () => {
  const rows = someRows(4);
  const withLora = () => makePolicy(config, mergedWeights(start), lora, 3);

  test('changes nothing at its start, and its start depends on the seed only', async () => {
    const fresh = withLora();
    const [attached, plain] = [await newTrainer({}, fresh).score(rows), await newTrainer().score(rows)];
    assert.deepEqual(attached.logprobs, plain.logprobs);
    assert.deepEqual(bytes(withLora().lora!.parameters.flat), bytes(fresh.lora!.parameters.flat));
    assert.notDeepEqual(
      makePolicy(config, mergedWeights(start), lora, 4).lora!.parameters.flat,
      fresh.lora!.parameters.flat,
    );
  });

  test('is all that training changes, and merged it does the same', async () => {
    const policy = withLora();
    const trainer = newTrainer({}, policy);
    const before = await trainer.score(rows);
    for (let update = 0; update < 3; update++) await trainer.update(rows, 2e-2);
    assert.deepEqual(bytes(policy.base.flat), bytes(start.base.flat));
    const after = await trainer.score(rows);
    assert.ok(rows.some((_, i) => Math.abs(after.logprobs[i][0] - before.logprobs[i][0]) > 1e-2));
    const merged = makePolicy(config, mergedWeights(policy), null);
    const together = await newTrainer({}, merged).score(rows);
    for (const i of rows.keys()) assertSame(together.logprobs[i], after.logprobs[i], 1e-5);
  });

  test('scores under another policy, the reference of a KL term', async () => {
    const policy = withLora();
    const reference = copyPolicy(policy);
    const trainer = newTrainer({}, policy);
    const before = await trainer.score(rows);
    await trainer.update(rows, 2e-2);
    assert.deepEqual((await trainer.score(rows, reference)).logprobs, before.logprobs);
    assert.notDeepEqual((await trainer.score(rows)).logprobs, before.logprobs);
    assert.notDeepEqual(trainable(policy).flat, trainable(reference).flat);
  });
});
