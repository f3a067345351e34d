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
import { gradientsOf, type Segment } from '../../src-main/engine/graph/reverse.ts';
import { createSession } from '../../src-main/engine/runtime/session.ts';
import { gradientCases, type Options, shapesOf } from './gradient-cases.ts';
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

/** Rounding of float32 kernels, relative to the largest element. */
const float32Tolerance = 2e-6;

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
  for (const [op, written, f, options = {}] of gradientCases) {
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
        const allowed = options.float32Only ? float32Tolerance : (options.tolerance ?? 1e-9);
        assert.ok(error < allowed, `${name} of the kernel is off by ${error}`);
      }
    });
  }

  test('the operators compared in float32 are those that ONNX Runtime has no float64 kernel for', async () => {
    for (const [op, written, f] of gradientCases.filter(([, , , options]) => options?.float32Only)) {
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
    const covered = new Set([...gradientCases.map(([op]) => op), ...notNumeric]);
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

  /** x -> two segments with a weight and a side result each -> loss; the second one has two outputs. */
  function inSegments(): { graph: Graph; loss: Value; wanted: Value[]; segments: Segment[] } {
    const graph = new Graph('g');
    const x = graph.input('x', 'float64', ['N', 3]);
    const first = graph.input('first', 'float64', [3, 3]);
    const second = graph.input('second', 'float64', [3, 3]);
    const middle = ops.add(x, ops.sigmoid(ops.matmul(x, first)));
    const inner = ops.exp(ops.matmul(middle, second));
    const parts = [ops.mul(inner, ops.matmul(inner, first)), ops.reduceMax(inner, [1])];
    const loss = ops.add(scalar(ops.mul(parts[0], middle)), scalar(parts[1]));
    const segments = [
      { from: x, to: [middle] },
      { from: middle, to: parts },
    ];
    return { graph, loss, wanted: [x, first, second], segments };
  }

  test('through segments that are run again gives the same numbers, of one size or another', async () => {
    const results = [];
    for (const again of [false, true]) {
      const { graph, loss, wanted, segments } = inSegments();
      for (const [i, g] of gradientsOf(loss, wanted, again ? segments : []).entries()) graph.output(`g${i}`, g);
      const feeds = Object.fromEntries(
        [5, 1, 0].map((n) => [
          n,
          {
            x: randomTensor('float64', [n, 3], 'x'),
            first: randomTensor('float64', [3, 3], 'first'),
            second: randomTensor('float64', [3, 3], 'second'),
          },
        ]),
      );
      results.push(
        await withSession(graph, async (session) => {
          const gradients = [];
          for (const feed of Object.values(feeds))
            gradients.push(Object.values(await session.run(feed)).map(numbersOf));
          return gradients;
        }),
      );
    }
    assert.deepEqual(results[1], results[0]);
  });

  test('nothing that is inside of a segment is kept for the way back', () => {
    const { graph, loss, wanted, segments } = inSegments();
    const forward = [...graph.nodes];
    gradientsOf(loss, wanted, segments);
    const kept = new Set(segments.flatMap(({ from, to }) => [from, ...to]));
    const inside = new Set(
      forward.slice(0, -4).flatMap(({ outputs }) => outputs.filter((output) => !kept.has(output))),
    );
    for (const node of graph.nodes.slice(forward.length)) {
      for (const input of node.inputs)
        assert.ok(input === null || !inside.has(input), `${node.op} reads ${input?.name}`);
    }
    assert.equal(graph.nodes.slice(forward.length).filter(({ op }) => op === 'Exp').length, 1);
  });

  test('segments that overlap are refused', () => {
    const { loss, wanted, segments } = inSegments();
    const both = { from: segments[0].from, to: segments[1].to };
    assert.throws(() => gradientsOf(loss, wanted, [segments[0], both]), /two segments hold the node that makes /);
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
