/** Loops: a body within a node, what it may read and repeat, how it is checked, written and run. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkGraph } from '../../src-main/engine/graph/check.ts';
import { Graph, type Value } from '../../src-main/engine/graph/graph.ts';
import { hostIndices } from '../../src-main/engine/graph/host-indices.ts';
import { onnxBytes } from '../../src-main/engine/graph/onnx-bytes.ts';
import * as ops from '../../src-main/engine/graph/ops.ts';
import { gradientsOf } from '../../src-main/engine/graph/reverse.ts';
import { graphText } from '../../src-main/engine/graph/text.ts';
import { openSession, type Tensor } from '../../src-main/engine/runtime/session.ts';
import { readOnnx } from './read-onnx.ts';

/** x <- x w + exp(bias) until its sum exceeds `limit`, each x collected; exp(bias) does not depend on the turn. */
function growing(): { graph: Graph; turns: Value; x: Value } {
  const graph = new Graph('growing');
  const turns = graph.input('turns', 'int64', []);
  const x = graph.input('x', 'float32', ['B', 2]);
  const weight = graph.input('weight', 'float32', [2, 2]);
  const bias = graph.input('bias', 'float32', ['B', 2]);
  const limit = graph.input('limit', 'float32', []);
  const { carried, collected } = ops.loop(turns, [x], 'M', (turn, [value]) => {
    const turned = ops.mul(ops.cast(turn, 'float32'), 0);
    const next = ops.add(ops.add(ops.gemm(value, weight), ops.exp(bias)), turned);
    return {
      goOn: ops.less(ops.reduceSum(next, undefined, false), limit),
      carried: [next],
      collected: [ops.reshape(next, [2, 'B'])],
    };
  });
  graph.output('last', carried[0]);
  graph.output('all', collected[0]);
  return { graph, turns, x };
}

const floats = (shape: number[], ...data: number[]): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(data),
});
const feeds = (turns: number, limit: number): Record<string, Tensor> => ({
  turns: { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(turns)) },
  x: floats([1, 2], 1, 2),
  weight: floats([2, 2], 2, 0, 0, 2),
  bias: floats([1, 2], 0, 0),
  limit: floats([], limit),
});

async function run(graph: Graph, given: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const session = await openSession(onnxBytes(checkGraph(graph)), { threads: 1 }, graph.name);
  try {
    return await session.run(given);
  } finally {
    await session.dispose();
  }
}

describe('a loop', () => {
  test('carries, collects, and ends when it is told or its turns are over', async () => {
    const { graph } = growing();
    const three = await run(graph, feeds(3, 1e9));
    // (1, 2) -> (3, 5) -> (7, 11) -> (15, 23)
    assert.deepEqual([...three.last.data], [15, 23]);
    assert.deepEqual(three.all.shape, [3, 2, 1]);
    assert.deepEqual([...three.all.data], [3, 5, 7, 11, 15, 23]);
    const ended = await run(graph, feeds(9, 17));
    assert.deepEqual([...ended.last.data], [7, 11]);
    assert.deepEqual(ended.all.shape, [2, 2, 1]);
  });

  test('repeats only what depends on the turn or on carried values', () => {
    const { graph } = growing();
    const loop = graph.nodes.find(({ op }) => op === 'Loop')!;
    assert.ok(graph.nodes.some(({ op }) => op === 'Exp'));
    assert.ok(loop.body!.graph.nodes.every(({ op }) => op !== 'Exp' && op !== 'Shape'));
    assert.equal(graph.everyNode().length, graph.nodes.length + loop.body!.graph.nodes.length);
  });

  test('is written with its operands alone, and with a body that names what it reads outside', () => {
    const { graph } = growing();
    const model = readOnnx(onnxBytes(graph));
    const written = model.nodes.find(({ op }) => op === 'Loop')!;
    const { body, inputs } = graph.nodes.find(({ op }) => op === 'Loop')!;
    assert.equal(written.inputs.length, 3);
    assert.deepEqual(
      inputs.slice(body!.operands).map((input) => input!.name),
      body!.graph.readFromOutside().map(({ name }) => name),
    );
    assert.match(graphText(graph), /\n {2}graph growing turn\n {2}input turn_\d+: int64\[\]\n/);
  });

  test('works where the whole-number part around it was taken off', async () => {
    const { graph } = growing();
    const { graph: rest, compute } = hostIndices(graph);
    const given = feeds(2, 1e9);
    const taken = Object.entries(compute(given)).map(([name, { shape, data }]) => [
      name,
      { dtype: 'int64', shape, data },
    ]);
    const results = await run(rest, { ...given, ...Object.fromEntries(taken) });
    assert.deepEqual([...results.last.data], [7, 11]);
  });

  test('with a value that a result has, too, reads it by the name of the result', async () => {
    const graph = new Graph('named');
    const x = graph.input('x', 'float32', [2]);
    const doubled = ops.mul(x, 2);
    const goOn = graph.constant('bool', 1);
    const { carried } = ops.loop(graph.constant('int64', 3), [x], 'M', (_, [value]) => ({
      goOn,
      carried: [ops.add(value, doubled)],
      collected: [],
    }));
    graph.output('doubled', doubled);
    graph.output('sum', carried[0]);
    const results = await run(graph, { x: floats([2], 1, 10) });
    assert.deepEqual(
      [[...results.doubled.data], [...results.sum.data]],
      [
        [2, 20],
        [7, 70],
      ],
    );
  });
});

describe('refused are', () => {
  test('carried values that change their shape or type', () => {
    const graph = new Graph('g');
    const x = graph.input('x', 'float32', [2]);
    const turns = graph.constant('int64', 2);
    const goOn = graph.constant('bool', 1);
    const withNext = (next: (x: Value) => Value) => () =>
      ops.loop(turns, [x], 'M', (_, [value]) => ({ goOn, carried: [next(value)], collected: [] }));
    assert.throws(
      withNext((value) => ops.reduceSum(value)),
      /carried value 0 is ReduceSum_\d+: float32\[1\] in the body/,
    );
    assert.throws(
      withNext((value) => ops.cast(value, 'int64')),
      /carried value 0 is Cast_\d+: int64\[2\] in the body/,
    );
    assert.throws(
      () => ops.loop(turns, [x], 'M', () => ({ goOn, carried: [], collected: [] })),
      /another number of values/,
    );
    const words = /must give one bool first/;
    assert.throws(() => ops.loop(turns, [x], 'M', (_, all) => ({ goOn: x, carried: all, collected: [] })), words);
  });

  test('a value of the body outside of it, and one of a strange graph inside', () => {
    const { graph, x } = growing();
    const inside = graph.nodes.find(({ op }) => op === 'Loop')!.body!.graph.nodes[0].outputs[0];
    graph.output('leaked', inside);
    assert.throws(() => checkGraph(graph), /output leaked of graph growing is made by no node/);
    const strange = new Graph('strange').input('y', 'float32', ['B', 2]);
    assert.throws(() => ops.add(x, strange), /a value of another graph was given/);
    assert.throws(
      () =>
        ops.loop(x.graph.constant('int64', 1), [x], 'M', (_, [value]) => ({
          goOn: value,
          carried: [ops.add(value, strange)],
          collected: [],
        })),
      /a value of another graph was given/,
    );
  });

  test('a body that is not as it was built', () => {
    const { graph } = growing();
    const { body } = graph.nodes.find(({ op }) => op === 'Loop')!;
    body!.graph.nodes.reverse();
    assert.throws(() => checkGraph(graph), /is used before it is made/);
  });

  test('a gradient through it', () => {
    const { graph, x } = growing();
    const loss = ops.reduceSum(graph.outputs[0].value, undefined, false);
    assert.throws(() => gradientsOf(loss, [x]), /no gradient rule for operator Loop/);
    const weight = graph.inputs.find(({ name }) => name === 'weight')!;
    assert.throws(() => gradientsOf(loss, [weight]), /no gradient rule for operator Loop/);
  });
});
