/**
 * Training in the GPU's memory: tensors go up, are written in place and come back; AdamW there is AdamW here; weights are
 * there once; and when everything is disposed, nothing is left.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { DecodeEngine } from '../../src-main/engine/rollout/decode-engine.ts';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { mul } from '../../src-main/engine/graph/ops.ts';
import { createSession, type Tensor } from '../../src-main/engine/runtime/session.ts';
import { DeviceMemory, type DeviceTensors } from '../../src-main/engine/runtime/device-memory.ts';
import { deviceMemoryInUse } from '../../src-main/engine/runtime/device-tensor.ts';
import { makeParameters, type Parameters } from '../../src-main/engine/runtime/parameters.ts';
import { copyPolicy, trainable } from '../../src-main/engine/runtime/policy.ts';
import { adamwState, adamwUpdate } from '../../src-main/engine/train/adamw.ts';
import { DeviceAdamW } from '../../src-main/engine/train/device-adamw.ts';
import { Trainer } from '../../src-main/engine/train/trainer.ts';
import { lastOf, runEvents, temporaryFolder, tinyConfig } from '../run/starter.ts';
import { noDevice } from './device.ts';
import { smallPolicies, trainerSettings } from './our-graphs.ts';

const specs = [
  { name: 'matrix', shape: [3, 5] },
  { name: 'vector', shape: [7] },
];
const numbers = (seed: number) => {
  const random = randomStream(seed, 'device');
  const made = makeParameters(specs);
  for (let i = 0; i < made.flat.length; i++) made.flat[i] = random.normal();
  return made;
};
const rows = [12, 9, 7].map((length) => ({
  tokens: Array.from({ length }, (_, i) => (5 * i + length) % 96),
  trained: [2, 4, 5],
  advantage: 1,
}));

/** Writes a gradient where a training graph would. */
async function writeInto(into: DeviceTensors, { tensors }: Parameters): Promise<void> {
  const graph = new Graph('write');
  const feeds = Object.entries(tensors).map(([name, tensor]) => [`x.${name}`, tensor] as const);
  for (const { name, shape } of specs)
    graph.output(
      `gradient.${name}`,
      mul(graph.input(`x.${name}`, 'float32', shape), graph.input(`one.${name}`, 'float32', [])),
    );
  const one: Tensor = { dtype: 'float32', shape: [], data: Float32Array.of(1) };
  const session = await createSession(graph, { threads: 1, provider: 'webgpu' });
  const ones = specs.map(({ name }) => [`one.${name}`, one] as const);
  await session.run(Object.fromEntries([...feeds, ...ones]), undefined, into);
  await session.dispose();
}

async function drawOnce(engine: DecodeEngine) {
  const cache = engine.newCache(1);
  const step = { tokens: [[1, 2, 3]], uniforms: [[0.5]], sampling: 'greedy', temperature: 1 } as const;
  const drawn = await engine.run(step, cache);
  engine.returnCache(cache);
  return drawn;
}

describe("the GPU's memory", { skip: noDevice }, () => {
  test('tensors go up and come back as they were, each counted until it is let go', async () => {
    const memory = new DeviceMemory();
    const parameters = numbers(1);
    const held = await memory.mirror(parameters);
    assert.equal(await memory.mirror(parameters), held, 'a second copy was made');
    assert.deepEqual(deviceMemoryInUse(), { tensors: 2, bytes: 4 * 22 });
    const read = await memory.read(held);
    for (const { name } of specs) assert.deepEqual(read.get(name), parameters.tensors[name].data);
    await memory.forget(parameters);
    assert.deepEqual(deviceMemoryInUse(), { tensors: 0, bytes: 0 });
    await memory.mirror(parameters);
    await memory.dispose();
    assert.deepEqual(deviceMemoryInUse(), { tensors: 0, bytes: 0 });
  });

  test('three updates in place give weights and moments of AdamW on the CPU, with decay and a scaled gradient', async () => {
    const settings = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 };
    const [memory, found, expected] = [new DeviceMemory(), numbers(2), numbers(2)];
    const device = new DeviceAdamW(memory, found, settings);
    const [state, exact] = [adamwState(22), adamwState(22)];
    for (const seed of [3, 4, 5]) {
      const gradient = numbers(seed);
      const { into } = await device.accumulating(true);
      await writeInto(into, gradient);
      const norm = Math.sqrt(gradient.flat.reduce((sum, value) => sum + value * value, 0));
      assert.ok(Math.abs((await device.norm()) - norm) < 1e-5 * norm);
      await device.update(state, { learningRate: 0.01, scale: 0.7 });
      adamwUpdate(expected.flat, gradient.flat, exact, {
        ...settings,
        learningRate: 0.01,
        scale: 0.7,
        decayed: [[0, 15]],
      });
    }
    assert.equal(state.updates, 3);
    for (const [name, one, other] of [
      ['weights', found.flat, expected.flat],
      ['first moments', state.m, exact.m],
      ['second moments', state.v, exact.v],
    ] as const)
      for (const [i, value] of other.entries()) assert.ok(Math.abs(one[i] - value) < 1e-6, `${name} ${i}`);
    await device.dispose();
    await memory.dispose();
    assert.equal(deviceMemoryInUse().tensors, 0);
  });

  test('micro-batches add up on the device as in main memory, and a sum begins anew with every update', async () => {
    const settings = { ...trainerSettings, microBatchTokens: 12 };
    const trainers = (['cpu', 'webgpu'] as const).map(
      (provider) => new Trainer(copyPolicy(smallPolicies().lora), { ...settings, provider }),
    );
    for (let step = 0; step < 3; step++) {
      const [cpu, gpu] = [await trainers[0].gradient(rows), await trainers[1].gradient(rows)];
      assert.ok(Math.abs(gpu.metrics.gradNorm - cpu.metrics.gradNorm) < 1e-4 * cpu.metrics.gradNorm);
      for (const [i, value] of cpu.gradient.entries())
        assert.ok(Math.abs(gpu.gradient[i] - value) < 1e-4 * cpu.metrics.gradNorm, `gradient ${i} of step ${step}`);
      for (const trainer of trainers) await trainer.update(rows, 1e-3);
    }
    for (const trainer of trainers) await trainer.dispose();
    assert.equal(deviceMemoryInUse().tensors, 0);
  });

  test('trainer and decoder share one copy of the weights; an update is seen by both; nothing is alive at the end', async () => {
    for (const [kind, policy] of Object.entries(smallPolicies())) {
      const memory = new DeviceMemory();
      const trainer = new Trainer(policy, { ...trainerSettings, memory });
      const engine = new DecodeEngine(policy, { threads: 1, maxTokens: 64, provider: 'webgpu', memory });
      const draw = async () => {
        return (await drawOnce(engine)).logprobs[0][0];
      };
      const before = await draw();
      await trainer.update(rows, 0.05);
      const trained = trainable(policy).flat.length;
      const frozen = policy.lora === null ? 0 : policy.base.flat.length;
      // weights, sums, two moments
      assert.equal(deviceMemoryInUse().bytes, 4 * (frozen + 4 * trained), kind);
      const after = await draw();
      assert.notEqual(after, before);
      const cpu = new DecodeEngine(policy, { threads: 1, maxTokens: 64 });
      const [[expected]] = (await drawOnce(cpu)).logprobs;
      assert.ok(Math.abs(after - expected) < 1e-4, 'main memory has other weights than the device');
      await cpu.dispose();
      await trainer.dispose();
      await engine.dispose();
      await memory.dispose();
      assert.deepEqual(deviceMemoryInUse(), { tensors: 0, bytes: 0 });
    }
  });

  test('a run leaves nothing behind', async (t) => {
    const small = { selectionProblems: 2, reportProblems: 1, steps: 1, problemsPerStep: 1, groupSize: 2 };
    const config = tinyConfig({ ...small, provider: 'webgpu', limits: { seconds: 3600 } });
    const events = await runEvents(config, temporaryFolder(t));
    const told = events.flatMap((event) => (event.kind === 'notice' && event.code === 'device-memory' ? [event] : []));
    const { parameters } = lastOf(events, 'started').facts;
    // weights before the first step; sums and moments too after one that had something to learn from
    assert.match(told[0].message, new RegExp(`holds ${((4 * parameters) / 1e6).toFixed(1)} MB`));
    assert.deepEqual(deviceMemoryInUse(), { tensors: 0, bytes: 0 });
  });
});
