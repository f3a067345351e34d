/**
 * Weights under an adapter that are kept as float16: everything is computed in float32 from the rounded numbers, so that loss,
 * gradients, updates and tokens are those of a float32 policy with these numbers, to the last bit.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { floatToHalf, halfToFloat } from '../../src-main/engine/base/half.ts';
import type { Node, Value } from '../../src-main/engine/graph/graph.ts';
import { hostIndices } from '../../src-main/engine/graph/host-indices.ts';
import { buildDecodeGraph } from '../../src-main/engine/model/decode-graph.ts';
import { DecodeEngine } from '../../src-main/engine/rollout/decode-engine.ts';
import { halfParameters, parameterCount } from '../../src-main/engine/runtime/parameters.ts';
import {
  copyPolicy,
  decoderOptions,
  keptInHalves,
  makePolicy,
  mergedWeights,
  type Policy,
} from '../../src-main/engine/runtime/policy.ts';
import { publishedFallbacks } from '../../src-main/engine/runtime/published-kernels.ts';
import { opsetOf } from '../../src-main/engine/runtime/session.ts';
import { Trainer, type TrainerSettings, trainingGraph } from '../../src-main/engine/train/trainer.ts';
import { smallPolicies, trainerSettings } from '../webgpu/our-graphs.ts';

const rounded = (value: number) => halfToFloat(floatToHalf(value));
const settings: TrainerSettings = { ...trainerSettings, provider: 'cpu', maxTokens: 32 };

/** The same adapter on weights kept in both ways, the float32 ones rounded beforehand. */
function both(): { half: Policy; float: Policy } {
  const { config, base, lora } = smallPolicies().lora;
  const weights = new Map(
    base.specs.map(({ name, shape }) => {
      const { data } = base.tensors[name];
      return [name, { data: shape.length < 2 ? data : data.map(rounded) }];
    }),
  );
  const [half, float] = (['float16', 'float32'] as const).map((kept) => {
    const policy = makePolicy(config, weights, { ...lora!.options, base: kept });
    policy.lora!.parameters.flat.set(lora!.parameters.flat);
    return policy;
  });
  return { half, float };
}

const rows = [9, 7, 5].map((length, row) => ({
  tokens: Array.from({ length }, (_, i) => 1 + 3 * i + row),
  trained: [1, 2, 3],
  advantage: row - 0.5,
}));

describe('weights kept as float16 under an adapter', () => {
  test('are half as many bytes, and read as the rounded numbers', () => {
    const { half, float } = both();
    assert.deepEqual([keptInHalves(half), keptInHalves(float)], [true, false]);
    const bytes = half.base.specs.map(({ name, shape }) => {
      const kept = half.base.tensors[name];
      assert.deepEqual(kept.data, float.base.tensors[name].data);
      return shape.length < 2 ? 0 : kept.half!.byteLength;
    });
    const matrices = half.base.specs.filter(({ shape }) => shape.length > 1);
    assert.equal(
      bytes.reduce((sum, one) => sum + one, 0),
      2 * parameterCount({ specs: matrices }),
    );
    assert.deepEqual(mergedWeights(half), mergedWeights(float));
    assert.equal(copyPolicy(half).base, half.base, 'what nobody changes is there once');
  });

  for (const recompute of [false, true]) {
    test(`give the loss, gradients, updates and scores of float32 ones${recompute ? ', computed again on the way back' : ''}`, async () => {
      const results = [];
      for (const policy of Object.values(both())) {
        const trainer = new Trainer(policy, { ...settings, recompute });
        const { gradient, metrics } = await trainer.gradient(rows);
        const copy = Float32Array.from(gradient);
        await trainer.update(rows, 1e-2);
        const { logprobs } = await trainer.score(rows);
        await trainer.dispose();
        results.push({ metrics, copy, after: policy.lora!.parameters.flat, logprobs });
      }
      assert.deepEqual(results[0], results[1]);
    });
  }

  test('give the tokens and log-probabilities of float32 ones, one at a time and in chunks', async () => {
    const results = [];
    for (const policy of Object.values(both())) {
      const engine = new DecodeEngine(policy, { threads: 1, maxTokens: 32 });
      const cache = engine.newCache(2);
      const how = { sampling: 'sampled', temperature: 1 } as const;
      const tokens = [
        [1, 2, 3],
        [4, 5, 6],
      ];
      const first = await engine.run({ ...how, tokens, uniforms: [[0.3], [0.7]] }, cache);
      const chunk = {
        queues: first.tokens,
        budgets: [5, 5],
        stops: [[], []],
        uniform: (r: number, t: number) => (r + t + 1) / 9,
      };
      const rest = await engine.runChunk({ ...how, ...chunk }, cache);
      await engine.dispose();
      results.push([first.tokens, first.logprobs, rest.tokens, rest.logprobs]);
    }
    assert.deepEqual(results[0], results[1]);
  });

  test('are widened for each use alone, so that none of them stays widened from the way forward to the way back', () => {
    for (const recompute of [false, true]) {
      const graph = trainingGraph(both().half, { ...settings, recompute });
      const widening = graph.nodes.filter(({ op, inputs }) => op === 'Cast' && inputs[0]?.dtype === 'float16');
      const readers = new Map<Value, Node[]>(widening.map(({ outputs }) => [outputs[0], []]));
      for (const node of graph.nodes) for (const input of node.inputs) readers.get(input as Value)?.push(node);
      const halves = graph.inputs.filter(({ dtype }) => dtype === 'float16');
      assert.ok(widening.length > 1.5 * halves.length, `${widening.length} for ${halves.length} matrices`);
      // the token embeddings are looked up as halves, and only the rows found are widened
      for (const [value, nodes] of readers) assert.ok(nodes.length <= 1, `${value.name} is read ${nodes.length} times`);
    }
  });

  test('have kernels on CUDA and DirectML, whose decoding is given them, too', () => {
    for (const provider of ['cuda', 'dml'] as const) {
      const options = { ...decoderOptions(both().half, 32, false, provider), sampling: 'sampled' } as const;
      const { graph } = hostIndices(buildDecodeGraph('decode', options));
      assert.ok(graph.inputs.some(({ dtype }) => dtype === 'float16'));
      assert.deepEqual(publishedFallbacks(graph, provider, opsetOf(provider)), []);
    }
  });

  test('cannot hold a number above 65504', () => {
    const specs = [{ name: 'w', shape: [1, 2] }];
    const made = (...numbers: number[]) =>
      halfParameters(specs, new Map([['w', { data: Float32Array.from(numbers) }]]));
    assert.throws(() => made(1, 65_520), { code: 'unsupported', message: /weight w .*65504/ });
    assert.deepEqual([...made(-65_504, 1e-9).tensors.w.data], [-65_504, 0]);
  });
});
