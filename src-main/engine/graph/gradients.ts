/**
 * Gradient rules, one an operator, as a table. A rule is given the node and the gradient of the loss with respect to its
 * output and emits more graph; it answers with one contribution an input. It need not care about broadcasting, about
 * inputs that need no gradient, or about adding up: the reverse walk (reverse.ts) does that in one place.
 *
 * A contribution is a value, or a function that adds itself to what other uses of the input contributed already (a
 * scatter into it, a Gemm with it as its added matrix), or null.
 */
import { assert } from '../base/assert.ts';
import { positiveAxis, productOf } from './dims.ts';
import type { Node, Value } from './graph.ts';
import { isFloat } from './infer.ts';
import {
  add,
  cast,
  div,
  equal,
  expand,
  filled,
  fusedRotary,
  gatherElements,
  geluGate,
  geluSlope,
  gemm,
  less,
  lessOrEqual,
  matmul,
  mul,
  neg,
  reciprocal,
  reduceMean,
  reduceSum,
  reduceSumSquare,
  reshape,
  scatterAdd,
  sigmoid,
  split,
  sqrt,
  sub,
  transpose,
  concat,
  where,
} from './ops.ts';

export type Contribution = Value | ((soFar: Value | null) => Value) | null;
/** `dys` has a gradient an output (most operators have one), `needed[i]` says whether input i's gradient will be used. */
export type GradientRule = (node: Node, dys: readonly Value[], needed: readonly boolean[]) => Contribution[];

const inputs = (node: Node) => node.inputs as Value[];

/** Zero where the other side was chosen; ties go to the first, so that the gradient is counted once. */
const choose =
  (first: (a: Value, b: Value) => Value): GradientRule =>
  (node, [dy]) => {
    const [a, b] = inputs(node);
    const chosen = first(a, b);
    return [where(chosen, dy, 0), where(chosen, 0, dy)];
  };

/** The gradient of a reduction spread back over the reduced axes: dy with those axes as length 1. */
function restoreAxes(node: Node, dy: Value): Value {
  const [x] = inputs(node);
  const axes = (node.known.axes ?? x.shape.map((_, i) => i)).map((axis) => positiveAxis(axis, x.shape.length));
  return reshape(
    dy,
    x.shape.map((dim, i) => (axes.includes(i) ? 1 : dim)),
  );
}

function isTransposed(node: Node, side: 'transA' | 'transB'): boolean {
  return node.attributes[side] === 1;
}

function scaleOf(node: Node): number {
  return (node.attributes.alpha as { float: number } | undefined)?.float ?? 1;
}

export const gradientRules: Record<string, GradientRule> = {
  // d(a + b) = da + db
  Add: (_, [dy]) => [dy, dy],
  Sub: (_, [dy], needed) => [dy, needed[1] ? neg(dy) : null],
  // d(ab) = b da + a db
  Mul(node, [dy], needed) {
    const [a, b] = inputs(node);
    return [needed[0] ? mul(dy, b) : null, needed[1] ? mul(dy, a) : null];
  },
  // d(a / b) = da / b - (a / b) db / b
  Div(node, [dy], needed) {
    const b = inputs(node)[1];
    const da = div(dy, b);
    return [da, needed[1] ? neg(mul(da, node.outputs[0])) : null];
  },
  Min: choose(lessOrEqual),
  Max: choose((a, b) => lessOrEqual(b, a)),
  Neg: (_, [dy]) => [neg(dy)],
  // d|x| = sign(x) dx, 0 at 0
  Abs(node, [dy]) {
    const [x] = inputs(node);
    return [where(less(x, 0), neg(dy), where(equal(x, 0), 0, dy))];
  },
  // d exp(x) = exp(x) dx
  Exp: (node, [dy]) => [mul(dy, node.outputs[0])],
  // d log(x) = dx / x
  Log: (node, [dy]) => [div(dy, inputs(node)[0])],
  // d sqrt(x) = dx / (2 sqrt(x))
  Sqrt: (node, [dy]) => [div(mul(dy, 0.5), node.outputs[0])],
  // d(1 / x) = -dx / x^2
  Reciprocal: (node, [dy]) => [neg(mul(dy, mul(node.outputs[0], node.outputs[0])))],
  // d s(x) = s (1 - s) dx
  Sigmoid(node, [dy]) {
    const s = node.outputs[0];
    return [mul(dy, mul(s, sub(1, s)))];
  },
  // d tanh(x) = (1 - tanh(x)^2) dx
  Tanh(node, [dy]) {
    const t = node.outputs[0];
    return [mul(dy, sub(1, mul(t, t)))];
  },
  // y = x s(x): dy/dx = s + y (1 - s)
  QuickGelu(node, [dy]) {
    const s = sigmoid(inputs(node)[0]);
    return [mul(dy, add(s, mul(node.outputs[0], sub(1, s))))];
  },
  // y = x s(2 u): dy/dx = s + y (1 - s) d(2 u)/dx
  FastGelu(node, [dy]) {
    const [x] = inputs(node);
    const s = geluGate(x);
    return [mul(dy, add(s, mul(mul(node.outputs[0], sub(1, s)), geluSlope(x))))];
  },
  // dx = p (dp - sum(dp p))
  Softmax(node, [dy]) {
    const p = node.outputs[0];
    const weighted = mul(dy, p);
    return [sub(weighted, mul(p, reduceSum(weighted, [-1])))];
  },
  // nothing flows through: comparisons, rounding, and the Identity that ops.ts calls stopGradient
  Identity: () => [null],
  // only between float types: a whole number has no slope
  Cast(node, [dy]) {
    const [x] = inputs(node);
    return [isFloat(x.dtype) && isFloat(dy.dtype) ? cast(dy, x.dtype) : null];
  },
  Where(node, [dy]) {
    const condition = inputs(node)[0];
    return [null, where(condition, dy, 0), where(condition, 0, dy)];
  },
  Reshape: (node, [dy]) => [reshape(dy, inputs(node)[0].shape), null],
  // the walk sums over what was broadcast
  Expand: (_, [dy]) => [dy, null],
  Transpose(node, [dy]) {
    const perm = node.attributes.perm as number[];
    return [
      transpose(
        dy,
        perm.map((_, i) => perm.indexOf(i)),
      ),
    ];
  },
  Concat(node, [dy]) {
    const parts = inputs(node);
    const axis = positiveAxis(node.attributes.axis as number, dy.shape.length);
    return split(
      dy,
      parts.map((part) => part.shape[axis]),
      axis,
    );
  },
  // each piece back in its place
  Split: (node, dys) => [concat(dys, node.attributes.axis as number), null],
  // rows that were taken get their gradient added; equal rows add up
  Gather(node, [dy]) {
    const [x, indices] = inputs(node);
    const axis = positiveAxis(node.attributes.axis as number, x.shape.length);
    const before = x.shape.slice(0, axis);
    const after = x.shape.slice(axis + 1);
    const count = productOf(indices.shape);
    const rows = reshape(dy, [...before, count, ...after]);
    const flat = reshape(cast(indices, 'int64'), [...before.map(() => 1), count, ...after.map(() => 1)]);
    const spread = expand(flat, rows.shape);
    return [(soFar) => scatterAdd(soFar ?? filled(x.graph, x.dtype, x.shape, 0), spread, rows, axis), null];
  },
  GatherElements(node, [dy]) {
    const [x, indices] = inputs(node);
    const axis = node.attributes.axis as number;
    return [(soFar) => scatterAdd(soFar ?? filled(x.graph, x.dtype, x.shape, 0), indices, dy, axis), null];
  },
  ScatterElements: (node, [dy]) => [dy, null, gatherElements(dy, inputs(node)[1], node.attributes.axis as number)],
  // each element counts in all later sums: the sums of dy from the other end
  CumSum(node, [dy]) {
    const reverse = node.attributes.reverse === 1 ? 0 : 1;
    return [dy.graph.node('CumSum', [dy, inputs(node)[1]], { reverse })[0], null];
  },
  ReduceSum: (node, [dy]) => [restoreAxes(node, dy), null],
  ReduceMean(node, [dy]) {
    const [x] = inputs(node);
    const share = mul(restoreAxes(node, dy), elementRatio(node, x));
    return [share, null];
  },
  // goes to the largest; split evenly between equals
  ReduceMax(node, [dy]) {
    const [x] = inputs(node);
    const top = cast(equal(x, restoreAxes(node, node.outputs[0])), x.dtype);
    const axes = node.known.axes ?? x.shape.map((_, i) => i);
    return [div(mul(top, restoreAxes(node, dy)), reduceSum(top, axes)), null];
  },
  // d sum(x^2) = 2 x dx
  ReduceSumSquare(node, [dy]) {
    const [x] = inputs(node);
    return [mul(mul(x, 2), restoreAxes(node, dy)), null];
  },
  // dA = dY B^T, dB = A^T dY, over the batch
  MatMul(node, [dy], needed) {
    const [a, b] = inputs(node);
    return [
      needed[0] ? matmul(dy, b, { transposeB: true }) : null,
      needed[1] ? matmul(a, dy, { transposeA: true }) : null,
    ];
  },
  // the four cases of op(A) op(B), scaled
  FusedMatMul(node, [dy], needed) {
    const [a, b] = inputs(node);
    const tA = isTransposed(node, 'transA');
    const tB = isTransposed(node, 'transB');
    const options = { scale: scaleOf(node), fused: true };
    const da = () =>
      tA
        ? matmul(b, dy, { ...options, transposeA: tB, transposeB: true })
        : matmul(dy, b, { ...options, transposeB: !tB });
    const db = () =>
      tB
        ? matmul(dy, a, { ...options, transposeA: true, transposeB: tA })
        : matmul(a, dy, { ...options, transposeA: !tA });
    return [needed[0] ? da() : null, needed[1] ? db() : null];
  },
  // as above for matrices; what was contributed so far becomes Gemm's added matrix
  Gemm(node, [dy], needed) {
    const [a, b] = inputs(node);
    const tA = isTransposed(node, 'transA');
    const tB = isTransposed(node, 'transB');
    const scale = scaleOf(node);
    const da = (soFar: Value | null) => {
      const rest = { scale, add: soFar ?? undefined };
      return tA
        ? gemm(b, dy, { ...rest, transposeA: tB, transposeB: true })
        : gemm(dy, b, { ...rest, transposeB: !tB });
    };
    const db = (soFar: Value | null) => {
      const rest = { scale, add: soFar ?? undefined };
      return tB
        ? gemm(dy, a, { ...rest, transposeA: true, transposeB: tA })
        : gemm(a, dy, { ...rest, transposeA: !tA });
    };
    return [needed[0] ? da : null, needed[1] ? db : null, dy];
  },
  // x^ = x r with r = 1 / sqrt(mean(x^2) + e): dx = r (g - x^ mean(g x^)), g = dy w; dw = sum dy x^.
  // r is computed again: the kernel's own second output is not written on every provider.
  SimplifiedLayerNormalization(node, [dy], needed) {
    const [x, weight] = inputs(node);
    const size = x.shape.at(-1) as number;
    const epsilon = (node.attributes.epsilon as { float: number }).float;
    const r = reciprocal(sqrt(add(mul(reduceSumSquare(x, [-1]), 1 / size), epsilon)));
    const unit = mul(x, r);
    const g = mul(dy, weight);
    return [
      needed[0] ? mul(r, sub(g, mul(unit, reduceMean(mul(g, unit), [-1])))) : null,
      needed[1] ? mul(dy, unit) : null,
    ];
  },
  // a rotation: the gradient is turned back by the negative angle
  RotaryEmbedding(node, [dy], needed) {
    assert(!needed[2] && !needed[3], 'RotaryEmbedding has no gradient for its tables');
    const [, positions, cosines, sines] = inputs(node);
    return [fusedRotary(dy, positions, cosines, neg(sines), node.attributes.num_heads as number), null, null, null];
  },
};

/** Operators whose outputs are whole numbers or truths: nothing flows back, and no rule is needed. */
// biome-ignore format: a list
export const withoutGradient = new Set([
  'Less', 'LessOrEqual', 'Greater', 'Equal', 'And', 'Not', 'ArgMax', 'Shape', 'Range',
]);

/** Operators of graphs that nobody trains (exports, decoding): without a rule, a gradient through them stops with their name. */
export const inferenceOnly = new Set(['MatMulNBits', 'Loop']);

/** 1 / (number of elements reduced into one), also where a dimension is a symbol. */
function elementRatio(node: Node, x: Value): Value | number {
  const axes = (node.known.axes ?? x.shape.map((_, i) => i)).map((axis) => positiveAxis(axis, x.shape.length));
  const dims = axes.map((axis) => x.shape[axis]);
  if (dims.every((dim) => typeof dim === 'number'))
    return 1 / dims.reduce<number>((product, dim) => product * (dim as number), 1);
  const counts = dims.map((dim) => cast(x.graph.dimension(dim), x.dtype));
  return reciprocal(reshape(counts.reduce(mul), []));
}
