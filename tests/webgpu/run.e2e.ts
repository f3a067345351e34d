/** The numerics gate, updates next to the CPU's, and a short whole run on WebGPU. That a long run learns is not shown here. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describeReport, numericsReport, requireAgreement } from '../../src-main/engine/run/numerics-gate.ts';
import { copyPolicy, makePolicy } from '../../src-main/engine/runtime/policy.ts';
import { packBatch, tokenWeights } from '../../src-main/engine/train/pack-batch.ts';
import { Trainer } from '../../src-main/engine/train/trainer.ts';
import { lastOf, runEvents, temporaryFolder, tinyConfig } from '../run/starter.ts';
import { noDevice } from './device.ts';
import { otherConfigs, policyObjective, smallPolicies, trainerSettings } from './our-graphs.ts';

describe('runs on WebGPU', { skip: noDevice }, () => {
  test('the gate passes for full training and for an adapter', async (t) => {
    for (const policy of Object.values(smallPolicies())) {
      const report = await numericsReport(policy, 'webgpu', 1);
      t.diagnostic(describeReport(report));
      assert.ok(report.ok, describeReport(report));
    }
  });

  test('the gate passes for an adapter on weights that are kept as float16', async () => {
    const { config, base, lora } = smallPolicies().lora;
    const weights = new Map(base.specs.map(({ name }) => [name, base.tensors[name]]));
    const policy = makePolicy(config, weights, { ...lora!.options, base: 'float16' });
    const report = await numericsReport(policy, 'webgpu', 1);
    assert.ok(report.ok, describeReport(report));
    assert.deepEqual(report.fallbacks, []);
  });

  test('a policy update gives the losses and log-probabilities of the CPU, step after step', async () => {
    const rows = [1, -0.5, 0.25].map((advantage, row) => ({
      tokens: Array.from({ length: 10 + row }, (_, t) => (7 * t + 13 * row) % 96),
      trained: [3, 4, 5, 8],
      advantage,
    }));
    const objective = { ...policyObjective, klCoefficient: 0, old: 'current' } as const;
    const trainers = (['cpu', 'webgpu'] as const).map(
      (provider) => new Trainer(copyPolicy(smallPolicies().lora), { ...trainerSettings, objective, provider }),
    );
    for (let step = 0; step < 4; step++) {
      const [cpu, gpu] = [await trainers[0].update(rows, 1e-3), await trainers[1].update(rows, 1e-3)];
      assert.ok(Math.abs(cpu.loss - gpu.loss) < 1e-4, `${step}: ${cpu.loss} and ${gpu.loss}`);
      for (const [i, row] of cpu.logprobs.entries())
        for (const [k, value] of row.entries()) assert.ok(Math.abs(value - gpu.logprobs[i][k]) < 1e-3);
    }
    for (const trainer of trainers) await trainer.dispose();
  });

  test('families of rows that begin alike have the gradient of the CPU, windows too', async () => {
    const family = (first: number) =>
      [1, -0.5, 0.25].map((advantage, row) => ({
        tokens: Array.from({ length: 30 + 2 * row }, (_, t) => (t < 24 ? first + t : (7 * t + 13 * row) % 96)),
        trained: [24, 25, 28, 29],
        advantage,
      }));
    const rows = [...family(3), ...family(50)];
    assert.deepEqual(
      packBatch(rows, tokenWeights(rows, 'batch-token', 64), 2048, 32).map(({ feeds }) => feeds.prefixIds?.shape),
      [[2, 24]],
    );
    const objective = { ...policyObjective, klCoefficient: 0, old: 'current' } as const;
    for (const policy of [smallPolicies().lora, ...otherConfigs().map((config) => smallPolicies(96, config).full)]) {
      const gradients = [];
      for (const provider of ['cpu', 'webgpu'] as const) {
        const trainer = new Trainer(copyPolicy(policy), { ...trainerSettings, objective, provider });
        const { gradient, metrics } = await trainer.gradient(rows);
        gradients.push({ gradient: gradient.slice(), norm: metrics.gradNorm });
        await trainer.dispose();
      }
      const [cpu, gpu] = gradients;
      const off = Math.sqrt(cpu.gradient.reduce((sum, value, i) => sum + (value - gpu.gradient[i]) ** 2, 0));
      assert.ok(off < 1e-3 * cpu.norm, `${policy.config.family}: ${off} of ${cpu.norm}`);
    }
  });

  test('a short run of the starter agent trains, says its provider and keeps the gate', async (t) => {
    const config = tinyConfig({
      provider: 'webgpu',
      problemsPerStep: 4,
      groupSize: 4,
      tasks: ['arithmetic'],
    });
    const events = await runEvents(config, temporaryFolder(t));
    assert.equal(lastOf(events, 'started').facts.provider, 'webgpu');
    const gate = events.filter((event) => event.kind === 'notice' && event.code === 'numerics');
    assert.equal(gate.length, 1);
    assert.match(JSON.stringify(gate), /webgpu agrees with the CPU/);
    assert.ok(lastOf(events, 'step').metrics.gradNorm > 0, 'nothing was learned from');
    assert.equal(lastOf(events, 'ended').status, 'finished');
  });
});

test('numbers that do not agree are refused with what was compared', () => {
  const checks = [{ name: 'loss', difference: 0.5, tolerance: 1e-5, measure: 'share of the loss' }];
  assert.throws(() => requireAgreement({ provider: 'webgpu', ok: false, checks, fallbacks: [] }), {
    code: 'unsupported',
    message: /webgpu does not agree with the CPU on this model: loss 0\.50/,
  });
});
