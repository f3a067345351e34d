/**
 * One line a gradient rule: a function of tensors that uses the operator, and the shapes it is tried on. The quick tests
 * compare each with finite differences on the CPU, the WebGPU tests with the CPU in float64.
 */
import type { Shape } from '../../src-main/engine/graph/dims.ts';
import type { Value } from '../../src-main/engine/graph/graph.ts';
import * as ops from '../../src-main/engine/graph/ops.ts';
import type { TensorFunction } from './numeric.ts';

export type Options = {
  /** where the inputs are drawn from; [-2, 2] unless told otherwise */
  domain?: [number, number];
  step?: number;
  tolerance?: number;
  /** the same function from primitives: a fused operator must also have its values */
  like?: TensorFunction;
  /** there is no float64 kernel: gradients are compared with those of `like`, which are checked in float64 */
  float32Only?: true;
};
/** Shapes are written `[2,3] [3]`. */
export type Row = [op: string, shapes: string, f: TensorFunction, options?: Options];

const positive: Options = { domain: [0.5, 2] };
const indices = (x: Value, list: number[], shape: Shape = [list.length]) =>
  ops.reshape(x.graph.constant('int64', list), shape);

/** Rotary embedding from primitives: the first components of each head, in halves, turned by the angle of the row's position. */
function rotary(x: Value, rows: number[], cosines: Value, sines: Value, heads: number): Value {
  const [batch, length, width] = x.shape as number[];
  const half = cosines.shape[1] as number;
  const parts = [half, half, width / heads - 2 * half].filter((size) => size > 0);
  const table = (all: Value) => ops.reshape(ops.gather(all, indices(x, rows)), [batch, length, 1, half]);
  const [cos, sin] = [table(cosines), table(sines)];
  const [a, b, ...rest] = ops.split(ops.reshape(x, [batch, length, heads, width / heads]), parts, 3);
  const turned = [ops.sub(ops.mul(a, cos), ops.mul(b, sin)), ops.add(ops.mul(b, cos), ops.mul(a, sin))];
  return ops.reshape(ops.concat([...turned, ...rest], 3), [batch, length, width]);
}
const rows = [0, 1, 2, 4, 5, 6];
const tables = (x: Value) =>
  [Math.cos, Math.sin].map((f) =>
    ops.reshape(
      x.graph.constant(
        x.dtype,
        Array.from({ length: 14 }, (_, i) => f((i >> 1) / (1 + (i & 1) * 9))),
      ),
      [7, 2],
    ),
  );

/** Root mean square normalization from primitives. */
function rmsNorm([x, weight]: Value[], epsilon: number): Value {
  return ops.mul(ops.div(x, ops.sqrt(ops.add(ops.reduceMean(ops.mul(x, x), [-1]), epsilon))), weight);
}

export const shapesOf = (written: string): Shape[] =>
  (written.match(/\[[^\]]*\]/g) ?? []).map((text) => JSON.parse(text));

export const gradientCases: Row[] = [
  ['Add', '[2,3] [3]', ([a, b]) => ops.add(a, b)],
  ['Add', '[2,1] [1,3]', ([a, b]) => ops.add(a, b)],
  ['Sub', '[3] [2,1,3]', ([a, b]) => ops.sub(a, b)],
  ['Mul', '[2,3] [2,1]', ([a, b]) => ops.mul(a, b)],
  ['Mul', '[3]', ([a]) => ops.mul(a, a)],
  ['Div', '[2,3] [3]', ([a, b]) => ops.div(a, b), positive],
  ['Div', '[] [2]', ([a, b]) => ops.div(a, b), positive],
  ['Min', '[2,3] [3]', ([a, b]) => ops.minimum(a, b)],
  ['Max', '[3] [2,3]', ([a, b]) => ops.maximum(a, b)],
  ['Max', '[4]', ([a]) => ops.maximum(a, 0.5)],
  ['Neg', '[3]', ([a]) => ops.neg(a)],
  ['Abs', '[7]', ([a]) => ops.abs(a)],
  ['Exp', '[3]', ([a]) => ops.exp(a)],
  ['Log', '[3]', ([a]) => ops.log(a), positive],
  ['Sqrt', '[3]', ([a]) => ops.sqrt(a), positive],
  ['Reciprocal', '[3]', ([a]) => ops.reciprocal(a), positive],
  ['Sigmoid', '[3]', ([a]) => ops.sigmoid(a)],
  ['Tanh', '[3]', ([a]) => ops.tanh(a)],
  ['Tanh', '[4]', ([a]) => ops.softCap(ops.mul(a, 3), 2)],
  [
    'Sigmoid',
    '[5]',
    ([a]) => ops.gelu(a),
    {
      like: ([a]) => {
        const u = ops.mul(ops.add(a, ops.mul(ops.mul(ops.mul(a, a), a), 0.044715)), Math.sqrt(2 / Math.PI));
        return ops.mul(ops.mul(a, ops.add(ops.tanh(u), 1)), 0.5);
      },
    },
  ],
  ['Softmax', '[2,4]', ([a]) => ops.softmax(a)],
  ['Softmax', '[3]', ([a]) => ops.softmax(a)],
  ['Cast', '[3]', ([a]) => ops.cast(ops.cast(a, 'float32'), 'float64'), { step: 2 ** -6, tolerance: 1e-5 }],
  ['Cast', '[3]', ([a]) => ops.mul(a, ops.cast(ops.cast(a, 'int64'), 'float64')), { domain: [1.2, 1.8] }],
  ['Where', '[2,3] [3]', ([a, b]) => ops.where(ops.less(a, b), ops.mul(a, a), b)],
  ['Where', '[2,1] [3]', ([a, b]) => ops.where(ops.greater(a, 0), 1, b)],
  ['Reshape', '[2,3,2]', ([a]) => ops.reshape(a, [3, 4])],
  ['Reshape', '[1,1]', ([a]) => ops.reshape(a, [])],
  ['Expand', '[2,1]', ([a]) => ops.expand(a, [3, 2, 2])],
  ['Expand', '[]', ([a]) => ops.expand(a, [2])],
  ['Transpose', '[2,3,4]', ([a]) => ops.transpose(a, [2, 0, 1])],
  ['Transpose', '[2,3]', ([a]) => ops.transposeLast(a)],
  ['Concat', '[2,1] [2,3]', ([a, b]) => ops.concat([a, b, a], 1)],
  ['Concat', '[1] [3]', ([a, b]) => ops.concat([a, b], -1)],
  ['Split', '[2,5]', ([a]) => ops.mul(...(ops.split(a, [1, 3, 1], 1).slice(0, 2) as [Value, Value]))],
  ['Split', '[4]', ([a]) => ops.split(a, [1, 3], -1)[1]],
  ['Gather', '[4,2]', ([a]) => ops.gather(a, indices(a, [3, 0, 3, -1]))],
  ['Gather', '[2,3,2]', ([a]) => ops.gather(a, indices(a, [2, 1, 1, 2], [2, 2]), 1)],
  ['Gather', '[2,3]', ([a]) => ops.gather(a, a.graph.constant('int64', 1), -1)],
  [
    'Gather',
    '[3]',
    ([a]) => ops.mul(ops.gather(a, indices(a, [0, 0, 2])), ops.add(a, ops.gather(a, indices(a, [1, 2, 1])))),
  ],
  ['GatherElements', '[2,3]', ([a]) => ops.gatherElements(a, indices(a, [2, 2, 0, 1], [2, 2]), 1)],
  ['GatherElements', '[3,2]', ([a]) => ops.mul(ops.gatherElements(a, indices(a, [2, 0], [1, 2]), 0), a)],
  ['ScatterElements', '[2,3] [2,2]', ([a, b]) => ops.scatterAdd(a, indices(a, [1, 1, 0, 2], [2, 2]), b, 1)],
  ['CumSum', '[2,3]', ([a]) => ops.cumulativeSum(a, 1)],
  ['CumSum', '[2,3]', ([a]) => ops.cumulativeSum(ops.mul(a, a), 1, true)],
  ['CumSum', '[3,2]', ([a]) => ops.cumulativeSum(ops.mul(a, a), -2)],
  ['ReduceSum', '[2,3,2]', ([a]) => ops.reduceSum(a, [0, -1])],
  ['ReduceSum', '[2,3]', ([a]) => ops.reduceSum(a, [0], false)],
  ['ReduceMean', '[2,3]', ([a]) => ops.reduceMean(a, [1])],
  ['ReduceMean', '[2,3]', ([a]) => ops.reduceMean(a, undefined, false)],
  ['ReduceMax', '[3,4]', ([a]) => ops.reduceMax(a, [1])],
  ['ReduceMax', '[2,3]', ([a]) => ops.reduceMax(a, undefined, false)],
  ['ReduceSumSquare', '[3,2]', ([a]) => ops.reduceSumSquare(a, [0], false)],
  ['ReduceSumSquare', '[]', ([a]) => ops.reduceSumSquare(a)],
  ['MatMul', '[2,3] [3,2]', ([a, b]) => ops.matmul(a, b)],
  ['MatMul', '[2,1,2,3] [3,2,3]', ([a, b]) => ops.matmul(a, b, { transposeB: true, scale: 0.5 })],
  ['MatMul', '[3,2] [2,3,2]', ([a, b]) => ops.matmul(a, b, { transposeA: true })],
  ['Gemm', '[2,3] [3,4]', ([a, b]) => ops.gemm(a, b)],
  ['Gemm', '[3,2] [3,4] [4]', ([a, b, add]) => ops.gemm(a, b, { transposeA: true, add })],
  ['Gemm', '[2,3] [4,3] [2,1]', ([a, b, add]) => ops.gemm(a, b, { transposeB: true, scale: 0.5, add })],
  ['Gemm', '[3,2] [4,3]', ([a, b]) => ops.gemm(a, b, { transposeA: true, transposeB: true, scale: -2 })],
  ['Gemm', '[3,3]', ([a]) => ops.gemm(ops.gemm(a, a, { transposeB: true, add: a }), a, { transposeA: true })],
  [
    'SimplifiedLayerNormalization',
    '[2,2,3] [3]',
    ([a, w]) => ops.fusedRmsNorm(a, w, 0.01),
    { like: (x) => rmsNorm(x, 0.01) },
  ],
  ['SimplifiedLayerNormalization', '[4] [4]', ([a, w]) => ops.fusedRmsNorm(ops.mul(a, a), w, 1e-5)],
  ['QuickGelu', '[5]', ([a]) => ops.fusedSilu(a), { like: ([a]) => ops.mul(a, ops.sigmoid(a)), float32Only: true }],
  // in float64 its constants are still of 32 bits
  ['FastGelu', '[5]', ([a]) => ops.fusedGelu(a), { like: ([a]) => ops.gelu(a), tolerance: 1e-6 }],
  ['FastGelu', '[9]', ([a]) => ops.fusedGelu(a), { like: ([a]) => ops.gelu(a), tolerance: 1e-6, domain: [-9, 9] }],
  ...[false, true].flatMap((transposeA) =>
    [false, true].map((transposeB): Row => {
      const options = { transposeA, transposeB, scale: 0.5 };
      const shapes = `${transposeA ? '[2,1,3,2]' : '[2,1,2,3]'} ${transposeB ? '[2,4,3]' : '[2,3,4]'}`;
      const like: TensorFunction = ([a, b]) => ops.matmul(a, b, options);
      return ['FusedMatMul', shapes, ([a, b]) => ops.matmul(a, b, { ...options, fused: true }), { like }];
    }),
  ),
  // all of a head is turned, or the first four components of six
  ...['[2,3,8]', '[2,3,12]'].map(
    (shape): Row => [
      'RotaryEmbedding',
      shape,
      ([a]) => ops.fusedRotary(a, indices(a, rows, [2, 3]), ...(tables(a) as [Value, Value]), 2),
      { like: ([a]) => rotary(a, rows, ...(tables(a) as [Value, Value]), 2), float32Only: true },
    ],
  ),
];
