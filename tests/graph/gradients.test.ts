/**
 * Every gradient rule against finite differences in float64 on the real ONNX Runtime, one line a case. An operator that
 * nobody classified, or a rule without a line here, fails.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Shape, sameShape } from '../../src-main/engine/graph/dims.ts';
import { gradientRules, inferenceOnly, withoutGradient } from '../../src-main/engine/graph/gradients.ts';
import { Graph, type Value } from '../../src-main/engine/graph/graph.ts';
import { knownOperators } from '../../src-main/engine/graph/infer.ts';
import * as ops from '../../src-main/engine/graph/ops.ts';
import { gradientsOf } from '../../src-main/engine/graph/reverse.ts';
import { createSession } from '../../src-main/engine/runtime/session.ts';
import {
  evaluate,
  type Feeds,
  finiteDifferences,
  gradientGraph,
  numbersOf,
  randomTensor,
  relativeError,
  type TensorFunction,
  withSession,
} from './numeric.ts';

type Options = {
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
type Row = [op: string, shapes: string, f: TensorFunction, options?: Options];

/** Rounding of float32 kernels, relative to the largest element. */
const float32Tolerance = 2e-6;

const positive: Options = { domain: [0.5, 2] };
const indices = (x: Value, list: number[], shape: Shape = [list.length]) =>
  ops.reshape(x.graph.constant('int64', list), shape);

/** Rotary embedding from primitives: the two halves of each head turned by the angle of the row's position. */
function rotary(x: Value, rows: number[], cosines: Value, sines: Value, heads: number): Value {
  const [batch, length, width] = x.shape as number[];
  const half = width / heads / 2;
  const table = (all: Value) => ops.reshape(ops.gather(all, indices(x, rows)), [batch, length, 1, half]);
  const [cos, sin] = [table(cosines), table(sines)];
  const [a, b] = ops.split(ops.reshape(x, [batch, length, heads, 2 * half]), [half, half], 3);
  const turned = [ops.sub(ops.mul(a, cos), ops.mul(b, sin)), ops.add(ops.mul(b, cos), ops.mul(a, sin))];
  return ops.reshape(ops.concat(turned, 3), [batch, length, width]);
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

const shapesOf = (written: string): Shape[] => (written.match(/\[[^\]]*\]/g) ?? []).map((text) => JSON.parse(text));

const table: Row[] = [
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
  ...[false, true].flatMap((transposeA) =>
    [false, true].map((transposeB): Row => {
      const options = { transposeA, transposeB, scale: 0.5 };
      const shapes = `${transposeA ? '[2,1,3,2]' : '[2,1,2,3]'} ${transposeB ? '[2,4,3]' : '[2,3,4]'}`;
      const like: TensorFunction = ([a, b]) => ops.matmul(a, b, options);
      return ['FusedMatMul', shapes, ([a, b]) => ops.matmul(a, b, { ...options, fused: true }), { like }];
    }),
  ),
  [
    'RotaryEmbedding',
    '[2,3,8]',
    ([a]) => ops.fusedRotary(a, indices(a, rows, [2, 3]), ...(tables(a) as [Value, Value]), 2),
    { like: ([a]) => rotary(a, rows, ...(tables(a) as [Value, Value]), 2), float32Only: true },
  ],
];

/** Rules that say something else than the function's slope, each with a test of its own below. */
const notNumeric = new Set(['Identity']);

function feedsFor(
  shapes: readonly Shape[],
  result: Value,
  dtype: 'float32' | 'float64',
  domain?: [number, number],
): Feeds {
  const feeds: Feeds = { weights: randomTensor(dtype, result.shape as number[], 'weights') };
  for (const [i, shape] of shapes.entries()) feeds[`x${i}`] = randomTensor(dtype, shape as number[], `x${i}`, domain);
  return feeds;
}

/** Checks the rules used by `f` in float64. */
async function checkInFloat64(shapes: Shape[], f: TensorFunction, options: Options): Promise<void> {
  const { graph, result } = gradientGraph(shapes, f, 'float64');
  const feeds = feedsFor(shapes, result, 'float64', options.domain);
  await withSession(graph, async (session) => {
    const outputs = await session.run(feeds);
    for (const i of shapes.keys()) {
      const gradient = numbersOf(outputs[`g${i}`]);
      const expected = await finiteDifferences(session, feeds, `x${i}`, options.step ?? 1e-5);
      const error = relativeError(gradient, expected);
      assert.ok(error < (options.tolerance ?? 1e-8), `input ${i}: off by ${error}\n${gradient}\n${expected}`);
    }
  });
}

describe('gradient rules', () => {
  for (const [op, written, f, options = {}] of table) {
    const shapes = shapesOf(written);
    test(`${op} of ${written} has the slope that finite differences see`, async () => {
      const dtype = options.float32Only ? 'float32' : 'float64';
      const { graph, result } = gradientGraph(shapes, f, dtype);
      assert.ok(
        graph.nodes.some((node) => node.op === op),
        `the case does not use ${op}`,
      );
      if (!options.float32Only) await checkInFloat64(shapes, f, options);
      if (!options.like) return;
      const feeds = feedsFor(shapes, result, 'float64', options.domain);
      const expected = await evaluate(gradientGraph(shapes, options.like, 'float64').graph, feeds);
      if (options.float32Only) await checkInFloat64(shapes, options.like, options);
      const outputs = await evaluate(graph, feedsFor(shapes, result, dtype, options.domain));
      for (const name of Object.keys(expected)) {
        const error = relativeError(numbersOf(outputs[name]), numbersOf(expected[name]));
        assert.ok(error < (options.float32Only ? float32Tolerance : 1e-9), `${name} of the kernel is off by ${error}`);
      }
    });
  }

  test('the operators compared in float32 are those that ONNX Runtime has no float64 kernel for', async () => {
    for (const [op, written, f] of table.filter(([, , , options]) => options?.float32Only)) {
      const { graph } = gradientGraph(shapesOf(written), f, 'float64');
      await assert.rejects(createSession(graph, { threads: 1 }), /ONNX Runtime refused/, `${op} has a float64 kernel`);
    }
  });

  test('every known operator has a rule or is listed as having none, never both', () => {
    const classified = [...Object.keys(gradientRules), ...withoutGradient, ...inferenceOnly];
    assert.deepEqual(classified.toSorted(), knownOperators().toSorted());
  });

  test('a gradient through an operator of exported graphs stops with its name', () => {
    const graph = new Graph('4-bit');
    const x = graph.input('x', 'float32', [1, 32]);
    const packed = graph.input('packed', 'uint8', [4, 1, 16]);
    const scales = graph.input('scales', 'float32', [4]);
    const y = ops.matmul4Bit(x, { packed, scales, blockSize: 32 });
    const loss = ops.reduceSum(y, undefined, false);
    assert.throws(() => gradientsOf(loss, [x]), /no gradient rule for operator MatMulNBits/);
  });

  test('every rule has a line in the table', () => {
    const covered = new Set([...table.map(([op]) => op), ...notNumeric]);
    assert.deepEqual(
      Object.keys(gradientRules).filter((op) => !covered.has(op)),
      [],
    );
  });

  test('nothing flows through stopGradient, and the rest of the graph keeps its gradient', async () => {
    const { graph, result } = gradientGraph([[3]], ([a]) => ops.mul(a, ops.stopGradient(a)), 'float64');
    const feeds = feedsFor([[3]], result, 'float64');
    const { g0 } = await evaluate(graph, feeds);
    const [x, weights] = [numbersOf(feeds.x0), numbersOf(feeds.weights)];
    assert.deepEqual(
      numbersOf(g0),
      x.map((value, i) => value * weights[i]),
    );
  });

  test('equal elements share the gradient of a maximum, and the first of equals has all of it in Min and Max', async () => {
    const gradientAt = async (f: TensorFunction, ...inputs: number[][]) => {
      const { graph, result } = gradientGraph(
        inputs.map((list) => [list.length]),
        f,
        'float64',
      );
      const feeds: Feeds = { weights: { dtype: 'float64', shape: result.shape as number[], data: Float64Array.of(6) } };
      for (const [i, list] of inputs.entries())
        feeds[`x${i}`] = { dtype: 'float64', shape: [list.length], data: Float64Array.from(list) };
      const outputs = await evaluate(graph, feeds);
      return inputs.map((_, i) => numbersOf(outputs[`g${i}`]));
    };
    assert.deepEqual(await gradientAt(([a]) => ops.reduceMax(a), [2, 1, 2, 2]), [[2, 0, 2, 2]]);
    assert.deepEqual(await gradientAt(([a, b]) => ops.minimum(a, b), [1], [1]), [[6], [0]]);
    assert.deepEqual(await gradientAt(([a, b]) => ops.maximum(a, b), [1], [1]), [[6], [0]]);
    assert.deepEqual(await gradientAt(([a]) => ops.abs(a), [0]), [[0]]);
  });
});

describe('the reverse walk', () => {
  const scalar = (x: Value) => ops.reduceSum(x, undefined, false);

  test('an operator without a rule stops the build with the operator and the node named', () => {
    const graph = new Graph('g');
    const x = graph.input('x', 'float32', [2]);
    const loss = scalar(ops.exp(x));
    const rule = gradientRules.Exp;
    delete gradientRules.Exp;
    try {
      assert.throws(
        () => gradientsOf(loss, [x]),
        /no gradient rule for operator Exp \(node that makes Exp_\d+: float32\[2\]\)/,
      );
    } finally {
      gradientRules.Exp = rule;
    }
  });

  test('only a scalar has a gradient', () => {
    const x = new Graph('g').input('x', 'float32', [2]);
    assert.throws(() => gradientsOf(x, [x]), /must be a scalar, not x: float32\[2\]/);
  });

  test('a value that the loss does not depend on gets zeros of its shape, also a symbolic one', async () => {
    const graph = new Graph('g');
    const x = graph.input('x', 'float64', ['N']);
    const unused = graph.input('unused', 'float64', ['N', 2]);
    graph.output('g', gradientsOf(scalar(x), [unused])[0]);
    const { g } = await evaluate(graph, {
      x: randomTensor('float64', [3], 'x'),
      unused: randomTensor('float64', [3, 2], 'unused'),
    });
    assert.deepEqual(
      [g.shape, numbersOf(g)],
      [
        [3, 2],
        [0, 0, 0, 0, 0, 0],
      ],
    );
  });

  test('a value in the middle of the graph has a gradient too, and the loss itself has 1', async () => {
    const graph = new Graph('g');
    const x = graph.input('x', 'float64', [2]);
    const middle = ops.mul(x, 3);
    const loss = scalar(ops.mul(middle, middle));
    const [one, dMiddle] = gradientsOf(loss, [loss, middle]);
    graph.output('one', one);
    graph.output('dMiddle', dMiddle);
    const outputs = await evaluate(graph, { x: { dtype: 'float64', shape: [2], data: Float64Array.of(1, -2) } });
    assert.deepEqual([numbersOf(outputs.one), numbersOf(outputs.dMiddle)], [[1], [6, -12]]);
  });

  test('work that no wanted value needs is not emitted', () => {
    const graph = new Graph('g');
    const x = graph.input('x', 'float32', [2, 3]);
    const weight = graph.input('weight', 'float32', [3, 4]);
    const loss = scalar(ops.matmul(x, weight));
    const before = graph.nodes.length;
    gradientsOf(loss, [weight]);
    const products = graph.nodes.slice(before).filter((node) => node.op === 'MatMul');
    assert.equal(products.length, 1);
    assert.ok(sameShape(products[0].outputs[0].shape, weight.shape));
  });

  test('the gradient of a gradient is right as well', async () => {
    const f: TensorFunction = ([x]) => {
      const inner = scalar(ops.exp(ops.mul(x, ops.sigmoid(x))));
      return gradientsOf(inner, [x])[0];
    };
    await checkInFloat64([[3]], f, {});
  });
});
