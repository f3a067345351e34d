/**
 * The golden models on WebGPU against transformers and PEFT, with the tolerances of the CPU's tests: logits, greedy
 * continuations through the cache, gradients of every weight, and three AdamW steps of the adapter.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseModelConfig } from '../../src-main/engine/model/model-config.ts';
import { fillParameters, makeParameters } from '../../src-main/engine/runtime/parameters.ts';
import { makePolicy, type Policy, trainable } from '../../src-main/engine/runtime/policy.ts';
import { Trainer, type TrainerSettings } from '../../src-main/engine/train/trainer.ts';
import { readAdapter } from '../../src-main/engine/weights/adapter.ts';
import { openModelFolder } from '../../src-main/engine/weights/model-folder.ts';
import { goldenFile, goldenPath } from '../golden/fixtures.ts';
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
} from '../golden/model-fixture.ts';
import { noDevice } from './device.ts';
import { trainerSettings } from './our-graphs.ts';

const PREFIX = 'base_model.model.';

async function gradients(trainer: Trainer, golden: Golden) {
  const { gradient, metrics } = await trainer.gradient(goldenRows(golden));
  return { metrics, tensors: makeParameters(trainable(trainer.policy).specs, gradient).tensors };
}

function checkModel(name: string): void {
  const golden = goldenFile<Golden>(`models/${name}/golden.json`);
  const config = parseModelConfig(goldenFile(`models/${name}/config.json`));
  const base = makePolicy(config, openModelFolder(goldenPath(`models/${name}`)).readWeights(), null);
  const rows = golden.batch.input_ids.map((ids, row) => everyPosition(ids.slice(0, golden.batch.lengths[row])));
  const settings: TrainerSettings = { ...trainerSettings, maxTokens: 128, microBatchTokens: 4096 };

  test('logits of every position', async () => {
    const { logits } = await sequenceNumbers(base, rows, 1, 'webgpu');
    assertClose(logits, goldenTensors(`models/${name}/golden.safetensors`).get('logits')!, 2e-4, 'logits');
  });

  test('greedy continuations, all prompts in one batch with a cache', async () => {
    const prompts = golden.greedy.map(({ prompt }) => prompt);
    const expected = golden.greedy.map(({ tokens }) => tokens);
    assert.deepEqual(await greedyTokens(base, prompts, expected[0].length, 'webgpu'), expected);
  });

  test('masked loss and the gradient of every weight', async () => {
    const trainer = new Trainer(base, { ...settings, maxGradNorm: 0 });
    const { metrics, tensors } = await gradients(trainer, golden);
    await trainer.dispose();
    assertRelative([metrics.loss], [golden.loss.mean_ce], 1e-5, 'the loss');
    const expected = goldenTensors(`models/${name}/grads.safetensors`);
    for (const [key, values] of expected) assertRelative(tensors[key].data, values, 1e-3, key);
  });

  if (!golden.lora) return;
  test("three AdamW steps of the adapter: losses, gradients, parameters, optimizer's moments", async () => {
    await checkSteps(name, golden, base, golden.lora!, settings);
  });
}

async function checkSteps(
  name: string,
  golden: Golden,
  base: Policy,
  lora: NonNullable<Golden['lora']>,
  settings: TrainerSettings,
): Promise<void> {
  const steps = goldenTensors(`models/${name}/lora/train.safetensors`);
  const policy = withAdapter(base, readAdapter(goldenPath(`models/${name}/lora`), base.config));
  const { parameters } = policy.lora!;
  const { lr, beta1, beta2, eps, weight_decay, max_grad_norm } = lora.optimizer;
  const expectedOf = (kind: string) =>
    fillParameters(
      parameters.specs,
      new Map(parameters.specs.map((spec) => [spec.name, steps.get(`${kind}.${PREFIX}${spec.name}`)!])),
    ).flat;
  const trainer = new Trainer(policy, {
    ...settings,
    ...{ beta1, beta2, epsilon: eps, weightDecay: weight_decay, maxGradNorm: max_grad_norm },
  });
  for (const step of [1, 2, 3]) {
    const { metrics, tensors } = await gradients(trainer, golden);
    assertRelative([metrics.loss], [lora.loss_before_step_1_2_3_and_after_3[step - 1]], 1e-4, `loss ${step}`);
    for (const { name: key } of parameters.specs)
      assertRelative(tensors[key].data, steps.get(`step${step}.grad.${PREFIX}${key}`)!, 1e-3, `step ${step}, ${key}`);
    await trainer.update(goldenRows(golden), lr);
    if (step !== 2) assertClose(parameters.flat, expectedOf(`step${step}.param`), 1e-3, `parameters after ${step}`);
  }
  assertRelative(trainer.optimizer.m, expectedOf('step3.exp_avg'), 1e-3, 'first moments');
  assertRelative(trainer.optimizer.v, expectedOf('step3.exp_avg_sq'), 1e-3, 'second moments');
  await trainer.dispose();
}

test('there are golden models', { skip: noDevice }, () => assert.ok(goldenModels().length > 0));

for (const name of goldenModels()) describe(`models/${name} on WebGPU`, { skip: noDevice }, () => checkModel(name));
