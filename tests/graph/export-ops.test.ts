/** The operators that only exported graphs use: values on the real ONNX Runtime, and what is refused. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import * as ops from '../../src-main/engine/graph/ops.ts';
import { BLOCK, dequantize4, quantize4 } from '../../src-main/engine/model/quantize.ts';
import { evaluate, numbersOf } from './numeric.ts';

describe('a 4-bit product', () => {
  for (const columns of [32, 96, 40, 7]) {
    test(`is that of the matrix it stands for, rows of ${columns}`, async () => {
      const random = randomStream(3, 'product', columns);
      const [rows, outputs] = [5, 6];
      const weight = Float32Array.from({ length: outputs * columns }, () => random.normal());
      const x = Float32Array.from({ length: rows * columns }, () => random.normal());
      const { packed, scales } = quantize4(weight, outputs, columns);
      const graph = new Graph('4-bit');
      const blocks = Math.ceil(columns / BLOCK);
      const small: ops.Quantized = {
        packed: graph.initializer('packed', 'uint8', [outputs, blocks, BLOCK / 2], packed),
        scales: graph.initializer('scales', 'float32', [outputs * blocks], scales),
        blockSize: BLOCK,
      };
      graph.output('y', ops.matmul4Bit(graph.input('x', 'float32', ['N', columns]), small));
      const { y } = await evaluate(graph, { x: { dtype: 'float32', shape: [rows, columns], data: x } });
      assert.deepEqual(y.shape, [rows, outputs]);
      const stored = dequantize4({ packed, scales }, outputs, columns);
      for (const [i, found] of numbersOf(y).entries()) {
        const [row, output] = [Math.floor(i / outputs), i % outputs];
        let expected = 0;
        for (let k = 0; k < columns; k++) expected += x[row * columns + k] * stored[output * columns + k];
        assert.ok(Math.abs(found - expected) < 1e-4, `${found} instead of ${expected}`);
      }
    });
  }

  test('refuses numbers, scales and rows of other sizes', () => {
    const graph = new Graph('4-bit');
    const x = graph.input('x', 'float32', ['N', 40]);
    const product = (packed: number[], scales: number[]) =>
      ops.matmul4Bit(x, {
        packed: graph.input(`packed ${packed}`, 'uint8', packed),
        scales: graph.input(`scales ${packed} ${scales}`, 'float32', scales),
        blockSize: 32,
      });
    assert.deepEqual(product([6, 2, 16], [12]).shape, ['N', 6]);
    assert.throws(() => product([6, 1, 16], [6]), /^Error: MatMulNBits\(.*the numbers must be \[N, 2, 16\]$/);
    assert.throws(() => product([5, 2, 16], [12]), /^Error: MatMulNBits\(.*there must be 10 scales$/);
  });
});

describe('range', () => {
  test('counts from a runtime length up to another, also over nothing', async () => {
    const graph = new Graph('range');
    graph.input('all', 'float32', ['P+S']);
    graph.input('past', 'float32', ['P']);
    graph.input('fresh', 'float32', ['S']);
    graph.output('new', ops.range(graph.dimension('P'), graph.dimension('P+S'), 'S'));
    for (const [P, S] of [
      [0, 3],
      [2, 1],
      [4, 0],
    ]) {
      const zeros = (length: number) => ({
        dtype: 'float32' as const,
        shape: [length],
        data: new Float32Array(length),
      });
      const outputs = await evaluate(graph, { all: zeros(P + S), past: zeros(P), fresh: zeros(S) });
      assert.deepEqual(
        numbersOf(outputs.new),
        Array.from({ length: S }, (_, i) => P + i),
      );
    }
  });
});
