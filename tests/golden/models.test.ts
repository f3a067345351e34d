/**
 * Every checkpoint below models/ of the golden set against transformers and PEFT: the real loading, graphs, cached
 * decoding, trainer and optimizer. An architecture that we do not build is skipped with the reason, never passed.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { type ModelConfig, parseModelConfig } from '../../src-main/engine/model/model-config.ts';
import { fillParameters, makeParameters } from '../../src-main/engine/runtime/parameters.ts';
import { copyPolicy, makePolicy, mergedWeights, type Policy, trainable } from '../../src-main/engine/runtime/policy.ts';
import { adamwState, adamwUpdate, clipFactor, norm2 } from '../../src-main/engine/train/adamw.ts';
import { Trainer, type TrainerSettings } from '../../src-main/engine/train/trainer.ts';
import { readAdapter } from '../../src-main/engine/weights/adapter.ts';
import { openModelFolder } from '../../src-main/engine/weights/model-folder.ts';
import { goldenFile, goldenMissing, goldenPath } from './fixtures.ts';
import {
  assertClose,
  assertRelative,
  everyPosition,
  type Golden,
  goldenModels,
  goldenRows,
  goldenTensors,
  greedyTokens,
  sequenceNumbers,
  withAdapter,
} from './model-fixture.ts';

const PREFIX = 'base_model.model.';
const supervised: TrainerSettings = {
  objective: 'supervised',
  aggregation: 'batch-token',
  maxTokens: 128,
  microBatchTokens: 4096,
  maxGradNorm: 0,
  threads: 1,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
};

/** A policy's gradient, tensor by tensor. */
async function gradients(trainer: Trainer, golden: Golden) {
  const { gradient, metrics } = await trainer.gradient(goldenRows(golden));
  return { metrics, tensors: makeParameters(trainable(trainer.policy).specs, gradient).tensors };
}

function checkForward(name: string, golden: Golden, policy: Policy): void {
  const tensors = goldenTensors(`models/${name}/golden.safetensors`);
  const { batch, long, completions } = golden;
  const sequences = batch.input_ids.map((ids, row) => ids.slice(0, batch.lengths[row]));

  test('logits of every position', async () => {
    const { logits } = await sequenceNumbers(
      policy,
      sequences.map((ids) => everyPosition(ids)),
    );
    assertClose(logits, tensors.get('logits')!, 2e-4, 'logits');
  });

  test('logits at the end of a long sequence', async () => {
    const { logits } = await sequenceNumbers(policy, [everyPosition(long.input_ids, long.positions)]);
    assertClose(logits, tensors.get('long.logits')!, 2e-4, 'logits');
    const width = policy.config.vocabSize;
    const argmax = long.positions.map((_, i) => {
      const row = logits.subarray(i * width, (i + 1) * width);
      return row.indexOf(Math.max(...row));
    });
    assert.deepEqual(argmax, long.argmax);
  });

  test('greedy continuations, all prompts in one batch with a cache', async () => {
    const prompts = golden.greedy.map(({ prompt }) => prompt);
    const expected = golden.greedy.map(({ tokens }) => tokens);
    assert.deepEqual(await greedyTokens(policy, prompts, expected[0].length), expected);
    assert.deepEqual(await greedyTokens(policy, [prompts[0]], expected[0].length), [expected[0]]);
  });

  for (const temperature of ['1', '0.7'] as const) {
    test(`log-probabilities and entropies at temperature ${temperature}`, async () => {
      const rows = completions.map(({ row, start, end }) => ({
        tokens: sequences[row],
        trained: Array.from({ length: end - start }, (_, i) => start + i),
        advantage: 1,
      }));
      const suffix = `t${temperature}` as 't1' | 't0.7';
      const { logprobs, entropies } = await sequenceNumbers(policy, rows, Number(temperature));
      assertClose(
        logprobs,
        completions.flatMap((completion) => completion[`logp_${suffix}`]),
        2e-4,
        'log-probabilities',
      );
      const expectedEntropies = completions.flatMap((completion) => completion[`entropy_${suffix}`]);
      assertClose(entropies, expectedEntropies, 2e-4, 'entropies');
      if (temperature !== '1') return;
      const trainer = new Trainer(policy, supervised);
      const scores = await trainer.score(rows);
      await trainer.dispose();
      assertClose(
        scores.logprobs.flatMap((row) => [...row]),
        logprobs,
        1e-5,
        "the trainer's log-probabilities",
      );
      const mean = expectedEntropies.reduce((sum, entropy) => sum + entropy) / expectedEntropies.length;
      assertClose([scores.entropy], [mean], 1e-4, "the trainer's mean entropy");
    });
  }

  test('masked loss and the gradient of every weight', async () => {
    const trainer = new Trainer(policy, supervised);
    const { metrics, tensors: found } = await gradients(trainer, golden);
    await trainer.dispose();
    assert.equal(metrics.tokens, golden.loss.n_tokens);
    assertRelative([metrics.loss], [golden.loss.mean_ce], 1e-5, 'the loss');
    assertRelative([metrics.gradNorm], [golden.loss.grad_norm], 1e-4, "the gradient's norm");
    const expected = goldenTensors(`models/${name}/grads.safetensors`);
    assert.deepEqual(Object.keys(found).sort(), [...expected.keys()].sort());
    for (const [key, values] of expected) assertRelative(found[key].data, values, 1e-3, key);
  });
}

function checkLora(name: string, golden: Golden, base: Policy, lora: NonNullable<Golden['lora']>): void {
  const tensors = goldenTensors(`models/${name}/golden.safetensors`);
  const steps = goldenTensors(`models/${name}/lora/train.safetensors`);
  const policy = withAdapter(base, readAdapter(goldenPath(`models/${name}/lora`), base.config));
  const { options, parameters } = policy.lora!;
  const expectedOf = (kind: string) =>
    fillParameters(
      parameters.specs,
      new Map(parameters.specs.map((spec) => [spec.name, steps.get(`${kind}.${PREFIX}${spec.name}`)!])),
    );
  const rows = golden.batch.input_ids.map((ids, row) => everyPosition(ids.slice(0, golden.batch.lengths[row])));
  const merged = (of: Policy): Policy => makePolicy(of.config, mergedWeights(of), null);
  const { lr, beta1, beta2, eps, weight_decay, max_grad_norm } = lora.optimizer;
  const adamw = { beta1, beta2, epsilon: eps, weightDecay: weight_decay };

  test('logits with the adapter, and merged', async () => {
    assert.deepEqual([options.rank, options.alpha], [lora.r, lora.alpha]);
    const attached = await sequenceNumbers(policy, rows);
    assertClose(attached.logits, tensors.get('lora_logits')!, 2e-4, 'logits');
    const { logits } = await sequenceNumbers(merged(policy), rows);
    assertClose(logits, tensors.get('merged_logits')!, 2e-4, 'merged logits');
  });

  test('three AdamW steps of the trainer: losses, gradients, parameters, moments, merged logits', async () => {
    const trained = { ...policy, lora: copyPolicy(policy).lora };
    const trainer = new Trainer(trained, { ...supervised, ...adamw, maxGradNorm: max_grad_norm });
    const losses = lora.loss_before_step_1_2_3_and_after_3;
    for (const step of [1, 2, 3]) {
      const { metrics, tensors: found } = await gradients(trainer, golden);
      assertRelative([metrics.loss], [losses[step - 1]], 1e-4, `loss before step ${step}`);
      assertRelative([metrics.gradNorm], [lora.grad_norm_step_1_2_3[step - 1]], 1e-3, `gradient norm of step ${step}`);
      for (const { name: key } of parameters.specs) {
        assertRelative(found[key].data, steps.get(`step${step}.grad.${PREFIX}${key}`)!, 1e-3, `step ${step}, ${key}`);
      }
      await trainer.update(goldenRows(golden), lr);
      if (step !== 2)
        assertClose(
          trained.lora!.parameters.flat,
          expectedOf(`step${step}.param`).flat,
          1e-3,
          `parameters after step ${step}`,
        );
    }
    assertRelative(trainer.optimizer.m, expectedOf('step3.exp_avg').flat, 1e-3, 'first moments');
    assertRelative(trainer.optimizer.v, expectedOf('step3.exp_avg_sq').flat, 1e-3, 'second moments');
    const after = await trainer.gradient(goldenRows(golden));
    assertRelative([after.metrics.loss], [losses[3]], 1e-4, 'loss after step 3');
    await trainer.dispose();
    const { logits } = await sequenceNumbers(merged(trained), rows);
    // Adam's first steps divide noise by noise where a gradient is nearly 0: the reference's own float32 may be off by more
    const allowed = Math.max(2e-4, 2 * golden.float64_check.trained_merged_logits);
    assertClose(logits, tensors.get('trained_merged_logits')!, allowed, 'merged logits after training');
  });

  test('the optimizer alone, fed with the stored gradients, and what it makes merged', async () => {
    const trained = { ...policy, lora: copyPolicy(policy).lora! };
    const { flat } = trained.lora.parameters;
    const state = adamwState(flat.length);
    for (const step of [1, 2, 3]) {
      const gradient = expectedOf(`step${step}.grad`).flat;
      const scale = clipFactor(norm2(gradient), max_grad_norm);
      adamwUpdate(flat, gradient, state, { ...adamw, learningRate: lr, scale, decayed: [[0, flat.length]] });
      if (step !== 2) assertClose(flat, expectedOf(`step${step}.param`).flat, 1e-6, `parameters after step ${step}`);
    }
    assertClose(state.m, expectedOf('step3.exp_avg').flat, 1e-7, 'first moments');
    assertClose(state.v, expectedOf('step3.exp_avg_sq').flat, 1e-7, 'second moments');
    const { logits } = await sequenceNumbers(merged(trained), rows);
    assertClose(logits, tensors.get('trained_merged_logits')!, 2e-4, 'merged logits');
  });
}

/** The model's configuration, or why it is not one of ours. A malformed file is an error. */
function configOf(name: string): ModelConfig | string {
  try {
    return parseModelConfig(goldenFile(`models/${name}/config.json`));
  } catch (error) {
    if (error instanceof ParetuneError && error.code === 'unsupported') return `not supported: ${error.message}`;
    throw error;
  }
}

test('there are golden models', { skip: goldenMissing('models') }, () => assert.ok(goldenModels().length > 0));

for (const name of goldenModels()) {
  const config = configOf(name);
  if (typeof config === 'string') {
    test(`models/${name}`, { skip: config }, () => {});
    continue;
  }
  describe(`models/${name} equals the reference`, () => {
    test('old and new spellings of config.json are one configuration', {
      skip: goldenMissing(`models/${name}/config_legacy.json`),
    }, () => {
      assert.deepEqual(parseModelConfig(goldenFile(`models/${name}/config_legacy.json`)), config);
    });
    const golden = goldenFile<Golden>(`models/${name}/golden.json`);
    const policy = makePolicy(config, openModelFolder(goldenPath(`models/${name}`)).readWeights(), null);
    checkForward(name, golden, policy);
    if (golden.lora) checkLora(name, golden, policy, golden.lora);
    else test('LoRA', { skip: `models/${name}/golden.json has no lora` }, () => {});
  });
}
