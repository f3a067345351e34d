/** Our graphs for CUDA and DirectML, op by op against the kernels that ONNX Runtime publishes for them. Nothing ran on either. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { hostIndices } from '../../src-main/engine/graph/host-indices.ts';
import { onnxBytes } from '../../src-main/engine/graph/onnx-bytes.ts';
import { abs, matmul, reduceMax } from '../../src-main/engine/graph/ops.ts';
import { policyFeeds } from '../../src-main/engine/runtime/policy.ts';
import { publishedFallbacks } from '../../src-main/engine/runtime/published-kernels.ts';
import { openSession, opsetOf } from '../../src-main/engine/runtime/session.ts';
import { packBatch } from '../../src-main/engine/train/pack-batch.ts';
import { trainingGraph } from '../../src-main/engine/train/trainer.ts';
import { numbersOf, relativeError } from '../graph/numeric.ts';
import { ourGraphs, policyObjective, smallPolicies, trainerSettings } from '../webgpu/our-graphs.ts';

const onDevice = (provider: 'cuda' | 'dml') => ourGraphs(false, provider).map((graph) => hostIndices(graph).graph);
const formsLeft = (graph: Graph, provider: 'cuda' | 'dml') => [
  ...new Set(publishedFallbacks(graph, provider, opsetOf(provider)).map(({ form }) => form)),
];

test('CUDA lists a kernel for every node of training, decoding and decoding in a loop, its turns included', () => {
  const graphs = onDevice('cuda');
  for (const graph of graphs) assert.deepEqual(formsLeft(graph, 'cuda'), [], graph.name);
  const loop = graphs.find(({ name }) => name === 'decode-loop-sampled')!;
  assert.deepEqual(
    loop.everyNode().flatMap(({ op, body }) => (body ? [op, body.graph.nodes.length > 50] : [])),
    ['Loop', true],
  );
});

test('what a turn of the loop does is judged like any other node', () => {
  const loops = onDevice('cuda').filter(({ name }) => name.startsWith('decode-loop'));
  assert.equal(loops.length, 18);
  // 21 is not the opset that CUDA is given: it lists no ReduceMax there, and no Loop
  for (const graph of loops) {
    const ops = new Set(publishedFallbacks(graph, 'cuda', 21).map(({ form }) => form.split('(')[0]));
    assert.ok(ops.has('ReduceMax') && ops.has('Loop'), [...ops].join(', '));
  }
});

test('DirectML lists one for every node of decoding and of an adapter, and leaves the embeddings of full training to the CPU', () => {
  for (const graph of onDevice('dml')) {
    const left = formsLeft(graph, 'dml');
    const full = graph.name === 'train' && graph.outputs.some(({ name }) => name.endsWith('embed_tokens.weight'));
    assert.deepEqual(left, full ? ['ScatterElements(float32, int64, float32) -> float32'] : [], graph.name);
  }
});

test('training without a scatter gives the loss and the gradients of training with one', async () => {
  const rows = [9, 7, 5].map((length, row) => ({
    tokens: Array.from({ length }, (_, i) => 1 + i + row),
    trained: [1, 2, 3],
    advantage: row - 0.5,
    oldLogprobs: [-3, -4, -4],
    referenceLogprobs: [-4, -3, -5],
  }));
  const [batch] = packBatch(rows, [0.2, 0.1, 0.3], 2048);
  for (const policy of Object.values(smallPolicies())) {
    for (const importance of ['token', 'sequence'] as const) {
      const objective = { ...policyObjective, importance };
      const results = [];
      for (const provider of ['webgpu', 'dml'] as const) {
        const graph = trainingGraph(policy, { ...trainerSettings, objective, provider });
        const session = await openSession(onnxBytes(graph), { threads: 1 }, graph.name);
        results.push(await session.run({ ...policyFeeds(policy), ...batch.feeds }));
        await session.dispose();
      }
      for (const [name, tensor] of Object.entries(results[0])) {
        const error = relativeError(numbersOf(results[1][name]), numbersOf(tensor));
        assert.ok(error < 1e-5, `${name} is off by ${error}`);
      }
    }
  }
});

test('a kernel of an older version without a last one is not taken, nor one of other types', () => {
  const graph = new Graph('old');
  const x = graph.input('x', 'float64', [2, 2]);
  const largest = reduceMax(x, [-1]);
  const product = matmul(x, x);
  const names = (provider: 'cuda' | 'dml', opset: number) =>
    publishedFallbacks(graph, provider, opset).map(({ name }) => name);
  assert.deepEqual(names('cuda', 19), []);
  assert.deepEqual(names('cuda', 21), [largest.name]);
  assert.deepEqual(names('dml', 21), [product.name]);
  abs(x);
  assert.equal(names('cuda', 19).length, 1, 'an operator that is not in the table counts as missing');
});

test('the same graph at opset 19, as CUDA is given it, computes the same bits', async () => {
  const rows = [9, 7].map((length) => ({
    tokens: Array.from({ length }, (_, i) => 1 + i),
    trained: [2, 3],
    advantage: 1,
    oldLogprobs: [-3, -4],
    referenceLogprobs: [-4, -3],
  }));
  const [batch] = packBatch(rows, [0.2, 0.2], 2048);
  for (const policy of Object.values(smallPolicies())) {
    const graph = trainingGraph(policy, { ...trainerSettings, objective: policyObjective, provider: 'cpu' });
    const results = [];
    for (const opset of [19, 21] as const) {
      const session = await openSession(onnxBytes(graph, { opset }), { threads: 1 }, graph.name);
      results.push(await session.run({ ...policyFeeds(policy), ...batch.feeds }));
      await session.dispose();
    }
    assert.deepEqual(results[0], results[1]);
  }
});
