import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { onnxBytes } from '../../src-main/engine/graph/onnx-bytes.ts';
import * as ops from '../../src-main/engine/graph/ops.ts';
import { openSession } from '../../src-main/engine/runtime/session.ts';
import { numbersOf } from './numeric.ts';
import { readOnnx } from './read-onnx.ts';

const [FLOAT, INT64] = [1, 7];

describe('onnxBytes', () => {
  test('writes versions, names, types, shapes and all kinds of attributes', () => {
    const graph = new Graph('mine');
    const x = graph.input('x', 'float32', ['B', 4]);
    const cut = ops.transpose(ops.fusedSilu(x), [1, 0]);
    graph.output('y', ops.concat([cut, cut], -1));
    const model = readOnnx(onnxBytes(graph, { producer: 'me', metadata: { step: '12', note: 'Größe' } }));
    assert.equal(model.irVersion, 10);
    assert.equal(model.producer, 'me');
    assert.equal(model.name, 'mine');
    assert.deepEqual(model.opsets, { '': 21, 'com.microsoft': 1 });
    assert.deepEqual(model.metadata, { step: '12', note: 'Größe' });
    assert.deepEqual(model.inputs, [{ name: 'x', dtype: FLOAT, shape: ['B', 4] }]);
    assert.deepEqual(model.outputs, [{ name: 'y', dtype: FLOAT, shape: [4, 'B+B'] }]);
    assert.deepEqual(
      model.nodes.map(({ op, domain, attributes }) => [op, domain, attributes]),
      [
        ['QuickGelu', 'com.microsoft', { alpha: 1 }],
        ['Transpose', '', { perm: [1, 0] }],
        ['Concat', '', { axis: -1 }],
      ],
    );
    const text = new Graph('text');
    const [row, index] = [text.input('row', 'float32', [1, 2]), text.input('index', 'int64', [1, 2])];
    text.output('y', ops.scatterAdd(row, index, row, 0));
    assert.deepEqual(readOnnx(onnxBytes(text)).nodes[0].attributes, { axis: 0, reduction: 'add' });
  });

  test('writes inline tensors as raw bytes, views and numbers below 0 included', () => {
    const graph = new Graph('g');
    const all = Float32Array.of(9, 1, 2, 9);
    const weight = graph.initializer('weight', 'float32', [2, 1], all.subarray(1, 3));
    graph.output('y', ops.reduceSum(ops.add(weight, graph.constant('float32', [-1.5])), [0]));
    const { initializers } = readOnnx(onnxBytes(graph));
    const [first, second, axes] = initializers;
    assert.deepEqual([first.name, first.dtype, first.shape], ['weight', FLOAT, [2, 1]]);
    assert.deepEqual(Buffer.from(first.raw), Buffer.from(Float32Array.of(1, 2).buffer));
    assert.deepEqual(Buffer.from(second.raw), Buffer.from(Float32Array.of(-1.5).buffer));
    assert.deepEqual([axes.dtype, axes.shape], [INT64, [1]]);
  });

  test('points to external weights by file, offset and length', () => {
    const graph = new Graph('g');
    const data = { location: 'model.safetensors', offset: 5_000_000_123, length: 16 };
    graph.output('y', ops.neg(graph.initializer('weight', 'float32', [2, 2], data)));
    const [weight] = readOnnx(onnxBytes(graph)).initializers;
    assert.deepEqual(weight.external, { location: 'model.safetensors', offset: '5000000123', length: '16' });
    assert.equal(weight.location, 1);
    assert.equal(weight.raw, undefined);
  });

  test('leaves out nodes and tensors that lead to no output, but keeps every input', () => {
    const graph = new Graph('g');
    const x = graph.input('x', 'float32', [2]);
    graph.input('unused', 'float32', [2]);
    ops.mul(ops.exp(x), graph.constant('float32', 3));
    graph.output('y', ops.neg(x));
    const model = readOnnx(onnxBytes(graph));
    assert.deepEqual(
      model.nodes.map((node) => node.op),
      ['Neg'],
    );
    assert.deepEqual(model.initializers, []);
    assert.deepEqual(
      model.inputs.map((input) => input.name),
      ['x', 'unused'],
    );
  });

  test('gives a result its output name at every use, and the runtime agrees', async () => {
    const graph = new Graph('g');
    const x = graph.input('x', 'float32', [2]);
    const middle = ops.neg(x);
    graph.output('last', ops.mul(middle, middle));
    graph.output('middle', middle);
    graph.output('again', middle);
    graph.output('copy', x);
    graph.output('x', x);
    graph.output('constant', graph.constant('float32', [7]));
    const bytes = onnxBytes(graph);
    const model = readOnnx(bytes);
    assert.deepEqual(
      model.outputs.map((output) => output.name),
      ['last', 'middle', 'again', 'copy', 'x', 'constant'],
    );
    const made = model.nodes.flatMap((node) => node.outputs);
    assert.equal(new Set(made).size, made.length);
    const session = await openSession(bytes, { threads: 1 }, 'g');
    const results = await session.run({ x: { dtype: 'float32', shape: [2], data: Float32Array.of(1, 2) } });
    await session.dispose();
    assert.deepEqual(Object.fromEntries(Object.entries(results).map(([name, value]) => [name, numbersOf(value)])), {
      last: [1, 4],
      middle: [-1, -2],
      again: [-1, -2],
      copy: [1, 2],
      x: [1, 2],
      constant: [7],
    });
  });

  test('an optional input that is left out is an empty name', () => {
    const graph = new Graph('g');
    const x = graph.input('x', 'float32', [2]);
    const [y] = graph.node('Identity', [x, null]);
    graph.output('y', y);
    assert.deepEqual(readOnnx(onnxBytes(graph)).nodes[0].inputs, ['x', '']);
  });

  test('the same graph is always the same bytes', () => {
    const build = () => {
      const graph = new Graph('g');
      const x = graph.input('x', 'float32', ['B', 'T']);
      graph.output('y', ops.reshape(ops.add(x, graph.constant('float32', 1)), ['T', 'B']));
      return onnxBytes(graph);
    };
    assert.deepEqual(build(), build());
  });
});
