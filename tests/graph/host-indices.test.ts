/** The whole-number part of a graph, computed before the run, is what ONNX Runtime's CPU kernels make of the same nodes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { hostIndices } from '../../src-main/engine/graph/host-indices.ts';
import { onnxBytes } from '../../src-main/engine/graph/onnx-bytes.ts';
import { add, cast, expand, gather, mul, reshape, scatterAdd } from '../../src-main/engine/graph/ops.ts';
import { policyFeeds } from '../../src-main/engine/runtime/policy.ts';
import { createSession, openSession, type Tensor } from '../../src-main/engine/runtime/session.ts';
import { packBatch } from '../../src-main/engine/train/pack-batch.ts';
import { trainingGraph } from '../../src-main/engine/train/trainer.ts';
import { policyObjective, smallPolicies, trainerSettings } from '../webgpu/our-graphs.ts';

const options = { threads: 1 };

/** Both ways on the CPU: the whole graph, and the rest of it on indices made here. */
async function bothWays(graph: Graph, feeds: Record<string, Tensor>) {
  const whole = await createSession(graph, options);
  const split = hostIndices(graph);
  const rest = await openSession(onnxBytes(split.graph), options, graph.name);
  const indices = Object.entries(split.compute(feeds)).map(([name, made]) => [name, { dtype: 'int64', ...made }]);
  const results = {
    expected: await whole.run(feeds),
    found: await rest.run({ ...feeds, ...Object.fromEntries(indices) }),
  };
  await whole.dispose();
  await rest.dispose();
  return { ...results, left: split.graph.nodes };
}

const ints = (shape: number[], from: number): Tensor => {
  const length = shape.reduce((product, dim) => product * dim, 1);
  return { dtype: 'int64', shape, data: BigInt64Array.from({ length }, (_, i) => BigInt(from + i)) };
};

test('indices that are reshaped, spread and multiplied come out as from the CPU, for any lengths', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 }), async (B, T) => {
      const graph = new Graph('indices');
      const ids = graph.input('ids', 'int64', ['B', 'T']);
      const other = graph.input('other', 'int64', ['B', 'T']);
      const flat = reshape(ids, ['B*T', 1]);
      graph.output('spread', cast(expand(flat, ['B*T', 3]), 'float32'));
      graph.output('outer', cast(expand(reshape(ids, ['B', 1, 'T', 1]), ['B', 2, 'T', 'B']), 'float32'));
      graph.output('product', cast(mul(ids, other), 'float32'));
      graph.output('back', cast(reshape(flat, ['B', 'T']), 'float32'));
      const { expected, found, left } = await bothWays(graph, { ids: ints([B, T], 1), other: ints([B, T], -3) });
      assert.deepEqual(found, expected);
      assert.deepEqual([...new Set(left.map(({ op }) => op))], ['Cast']);
    }),
    { numRuns: 12 },
  );
});

test('a length that only what is computed has is not guessed: its node stays', async () => {
  const graph = new Graph('sum of lengths');
  const [p, s] = [graph.input('p', 'float32', ['P', 2]), graph.input('s', 'float32', ['S', 2])];
  const both = graph.node('Concat', [p, s], { axis: 0 })[0];
  graph.output('ones', add(expand(graph.constant('float32', 1), [...both.shape, 2]), 0));
  const floats = (rows: number): Tensor => ({ dtype: 'float32', shape: [rows, 2], data: new Float32Array(2 * rows) });
  const { expected, found, left } = await bothWays(graph, { p: floats(2), s: floats(3) });
  assert.deepEqual(found, expected);
  assert.ok(left.some(({ op }) => op === 'Shape'));
});

test('an index that a computed index leads to stays in the graph', async () => {
  const graph = new Graph('after an ArgMax');
  const x = graph.input('x', 'float32', ['N', 3]);
  const best = graph.node('ArgMax', [x], { axis: 1, keepdims: 1 })[0];
  graph.output('picked', gather(x, reshape(best, ['N'])));
  const { expected, found } = await bothWays(graph, {
    x: { dtype: 'float32', shape: [3, 3], data: Float32Array.of(0, 0, 1, 1, 0, 0, 0, 1, 0) },
  });
  assert.deepEqual(found, expected);
});

test('a scatter along spread indices adds as before', async () => {
  const graph = new Graph('scatter');
  const rows = graph.input('rows', 'int64', ['K']);
  const x = graph.input('x', 'float32', ['K', 2]);
  const into = graph.input('into', 'float32', [4, 2]);
  graph.output('sum', scatterAdd(into, expand(reshape(rows, ['K', 1]), ['K', 2]), x, 0));
  const { expected, found } = await bothWays(graph, {
    rows: { dtype: 'int64', shape: [3], data: BigInt64Array.of(1n, 1n, 3n) },
    x: { dtype: 'float32', shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
    into: { dtype: 'float32', shape: [4, 2], data: new Float32Array(8) },
  });
  assert.deepEqual(found, expected);
});

test('a whole training graph gives the same loss and gradients, bit for bit', async () => {
  const random = randomStream(2, 'rows');
  const beginning = Array.from({ length: 20 }, () => random.int(0, 95));
  const rowsAfter = (first: readonly number[]) =>
    [9, 7, 4].map((length) => ({
      tokens: [...first, ...Array.from({ length }, () => random.int(0, 95))],
      trained: [first.length + 2, first.length + 3],
      advantage: random.normal(),
      oldLogprobs: [-3, -4],
      referenceLogprobs: [-4, -3],
    }));
  const objective = { ...policyObjective, importance: 'sequence' } as const;
  for (const policy of Object.values(smallPolicies()))
    for (const first of [[], beginning]) {
      const branches = first.length > 0;
      const graph = trainingGraph(policy, { ...trainerSettings, objective }, { branches });
      const [batch] = packBatch(rowsAfter(first), [0.2, 0.2, 0.2], 2048, 32);
      assert.equal(batch.branches, branches);
      const { expected, found } = await bothWays(graph, { ...policyFeeds(policy), ...batch.feeds });
      assert.deepEqual(found, expected);
    }
});
