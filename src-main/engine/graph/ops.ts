/**
 * Operators as functions over values: one function an operator, shapes in its comment. A number where a tensor is
 * expected becomes a scalar constant of the other side's type. Nothing here computes; each call appends one node.
 */
import { assert } from '../base/assert.ts';
import { type Dim, positiveAxis, type Shape, sameShape } from './dims.ts';
import { type Attributes, type DType, Graph, type Value } from './graph.ts';
import { dtypeNumbers } from './infer.ts';

export type Operand = Value | number;

function pair(a: Operand, b: Operand): [Value, Value] {
  const like = typeof a === 'number' ? b : a;
  assert(typeof like !== 'number', 'an operator needs at least one tensor');
  const lift = (x: Operand) => (typeof x === 'number' ? like.graph.constant(like.dtype, x) : x);
  return [lift(a), lift(b)];
}

const binary =
  (op: string) =>
  (a: Operand, b: Operand): Value => {
    const [x, y] = pair(a, b);
    return x.graph.node(op, [x, y])[0];
  };
const unary =
  (op: string) =>
  (x: Value): Value =>
    x.graph.node(op, [x])[0];

export const add = binary('Add');
export const sub = binary('Sub');
export const mul = binary('Mul');
export const div = binary('Div');
export const minimum = binary('Min');
export const maximum = binary('Max');
export const less = binary('Less');
export const lessOrEqual = binary('LessOrEqual');
export const greater = binary('Greater');
export const equal = binary('Equal');
export const and = binary('And');
export const not = unary('Not');
export const neg = unary('Neg');
export const abs = unary('Abs');
export const exp = unary('Exp');
export const log = unary('Log');
export const sqrt = unary('Sqrt');
export const reciprocal = unary('Reciprocal');
export const sigmoid = unary('Sigmoid');
export const tanh = unary('Tanh');

/** The value itself, through which no gradient flows. */
export const stopGradient = unary('Identity');

/** x * sigmoid(x) as one kernel (com.microsoft QuickGelu, alpha 1). */
export function fusedSilu(x: Value): Value {
  return x.graph.node('QuickGelu', [x], { alpha: { float: 1 } }, 'com.microsoft')[0];
}

/** x Phi(x) in its form with tanh: 0.5 x (1 + tanh(u)) = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3). */
export function gelu(x: Value): Value {
  return mul(x, geluGate(x));
}

const GELU_SLOPE = 2 * Math.sqrt(2 / Math.PI);
const GELU_CUBIC = 0.044715 * GELU_SLOPE;

/** sigmoid(2 u), the share of x that GELU lets through. */
export function geluGate(x: Value): Value {
  return sigmoid(mul(x, add(mul(mul(x, x), GELU_CUBIC), GELU_SLOPE)));
}

/** d(2 u) / dx */
export function geluSlope(x: Value): Value {
  return add(mul(mul(x, x), 3 * GELU_CUBIC), GELU_SLOPE);
}

/** gelu(x) as one kernel (com.microsoft FastGelu). */
export function fusedGelu(x: Value): Value {
  return x.graph.node('FastGelu', [x], {}, 'com.microsoft')[0];
}

/** cap tanh(x / cap): nearly x where it is small, never beyond the cap. */
export function softCap(x: Value, cap: number): Value {
  return mul(tanh(mul(x, 1 / cap)), cap);
}

export function cast(x: Value, to: DType): Value {
  return x.dtype === to ? x : x.graph.node('Cast', [x], { to: dtypeNumbers[to] })[0];
}

/** a where the condition holds, else b. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const [x, y] = pair(a, b);
  return x.graph.node('Where', [condition, x, y])[0];
}

export function reshape(x: Value, shape: Shape): Value {
  if (sameShape(x.shape, shape)) return x;
  const [target, attributes] = reshapeTarget(x, shape);
  return x.graph.node('Reshape', [x, target], attributes, '', { shape })[0];
}

/**
 * The cheapest target that holds for all lengths, 0 included. ONNX reads -1 as "the rest", which must not be 0 / 0, and
 * 0 as "as it was" unless allowzero is set.
 */
function reshapeTarget(x: Value, shape: Shape): [Value, Attributes] {
  const constant = (forSymbol: 0 | -1) =>
    x.graph.constant(
      'int64',
      shape.map((dim) => (typeof dim === 'number' ? dim : forSymbol)),
    );
  if (!shape.includes(0)) {
    if (shape.every((dim, i) => typeof dim === 'number' || dim === x.shape[i])) return [constant(0), {}];
    if (shape.filter((dim) => typeof dim === 'string').length === 1) return [constant(-1), {}];
  }
  return [x.graph.shapeTensor(shape), { allowzero: 1 }];
}

export function expand(x: Value, shape: Shape): Value {
  if (sameShape(x.shape, shape)) return x;
  return x.graph.node('Expand', [x, x.graph.shapeTensor(shape)], {}, '', { shape })[0];
}

export function transpose(x: Value, perm: readonly number[]): Value {
  return x.graph.node('Transpose', [x], { perm })[0];
}

/** The last two axes exchanged. */
export function transposeLast(x: Value): Value {
  const rank = x.shape.length;
  return transpose(
    x,
    x.shape.map((_, i) => (i === rank - 1 ? rank - 2 : i === rank - 2 ? rank - 1 : i)),
  );
}

export function concat(parts: readonly Value[], axis: number): Value {
  return parts.length === 1 ? parts[0] : parts[0].graph.node('Concat', parts, { axis })[0];
}

/** Pieces of the given sizes along an axis; their sum is its length. */
export function split(x: Value, sizes: readonly Dim[], axis: number): Value[] {
  if (sizes.length === 1) return [x];
  return x.graph.node('Split', [x, x.graph.shapeTensor(sizes)], { axis }, '', { sizes });
}

/** Slices of x at whole-number indices: x [.., N, ..], indices [I..] -> [.., I.., ..]. */
export function gather(x: Value, indices: Value, axis = 0): Value {
  return x.graph.node('Gather', [x, indices], { axis })[0];
}

/** One element a position: x [.., N, ..], indices of the same rank -> shape of indices. */
export function gatherElements(x: Value, indices: Value, axis: number): Value {
  return x.graph.node('GatherElements', [x, indices], { axis })[0];
}

/** x with updates added at indices along an axis; equal indices add up (the ScatterND form races on the CPU). */
export function scatterAdd(x: Value, indices: Value, updates: Value, axis: number): Value {
  return x.graph.node('ScatterElements', [x, indices, updates], { axis, reduction: 'add' })[0];
}

const reduction =
  (op: string) =>
  (x: Value, axes?: readonly number[], keep = true): Value => {
    const list = axes?.map((axis) => positiveAxis(axis, x.shape.length));
    const attributes: Attributes = { keepdims: keep ? 1 : 0 };
    return x.graph.node(op, list ? [x, x.graph.constant('int64', list)] : [x], attributes, '', { axes: list })[0];
  };

/** Sums over the given axes (all of them if none are named); `keep` leaves them as length 1. */
export const reduceSum = reduction('ReduceSum');
export const reduceMean = reduction('ReduceMean');
export const reduceMax = reduction('ReduceMax');
export const reduceSumSquare = reduction('ReduceSumSquare');

/** Index of the largest element along an axis, which stays as length 1; the first of equals. */
export function argMax(x: Value, axis: number): Value {
  return x.graph.node('ArgMax', [x], { axis: positiveAxis(axis, x.shape.length), keepdims: 1 })[0];
}

/** Each element with those before it along an axis, or, from the other end, with those after it. */
export function cumulativeSum(x: Value, axis: number, reverse = false): Value {
  const attributes: Attributes = reverse ? { reverse: 1 } : {};
  return x.graph.node('CumSum', [x, x.graph.constant('int64', positiveAxis(axis, x.shape.length))], attributes)[0];
}

export function softmax(x: Value): Value {
  return x.graph.node('Softmax', [x], { axis: x.shape.length - 1 })[0];
}

export type MatMulOptions = { transposeA?: boolean; transposeB?: boolean; scale?: number };

/** scale * op(a) op(b) for matrices, with an optional third matrix added: ONNX Gemm. */
export function gemm(a: Value, b: Value, options: MatMulOptions & { add?: Value } = {}): Value {
  const attributes: Record<string, number | { float: number }> = {};
  if (options.transposeA) attributes.transA = 1;
  if (options.transposeB) attributes.transB = 1;
  if (options.scale !== undefined && options.scale !== 1) attributes.alpha = { float: options.scale };
  return a.graph.node('Gemm', options.add ? [a, b, options.add] : [a, b], attributes)[0];
}

/**
 * Batched product over the last two axes; `fused` uses ONNX Runtime's FusedMatMul, which transposes and scales in place.
 * In 1.30.0 a fused product with a transposed side and an inner length of 0 leaves its result unwritten, where the plain
 * one gives zeros; neither broadcasts a batch of length 0.
 */
export function matmul(a: Value, b: Value, options: MatMulOptions & { fused?: boolean } = {}): Value {
  const { transposeA = false, transposeB = false, scale = 1 } = options;
  if (options.fused) {
    const attributes = { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0, alpha: { float: scale } };
    return a.graph.node('FusedMatMul', [a, b], attributes, 'com.microsoft')[0];
  }
  const left = transposeA ? transposeLast(a) : a;
  const right = transposeB ? transposeLast(b) : b;
  const product = left.graph.node('MatMul', [left, right])[0];
  return scale === 1 ? product : mul(product, scale);
}

/** x / sqrt(mean(x^2) + epsilon) * weight over the last axis, one kernel. */
export function fusedRmsNorm(x: Value, weight: Value, epsilon: number): Value {
  const attributes = { axis: -1, epsilon: { float: epsilon }, stash_type: 1 };
  return x.graph.node('SimplifiedLayerNormalization', [x, weight], attributes)[0];
}

/**
 * Rotary position embedding, halves layout: x [B, S, heads * E], positions int64 [B, S], tables [positions, D / 2]. The first
 * D of the E components of a head are turned.
 */
export function fusedRotary(x: Value, positions: Value, cosines: Value, sines: Value, heads: number): Value {
  const turned = 2 * (cosines.shape[1] as number);
  const partial: Attributes = x.shape[2] === heads * turned ? {} : { rotary_embedding_dim: turned };
  const attributes = { num_heads: heads, interleaved: 0, ...partial };
  return x.graph.node('RotaryEmbedding', [x, positions, cosines, sines], attributes, 'com.microsoft')[0];
}

/** 4-bit numbers q in blocks: W[n, k] = (q - 8) * scale of its block; two numbers a byte, the lower first. */
export type Quantized = { packed: Value; scales: Value; blockSize: number };

/** x [.., K] times W [N, K] transposed, W in 4 bits. Activations stay as they are (accuracy level 1). */
export function matmul4Bit(x: Value, { packed, scales, blockSize }: Quantized): Value {
  const sizes = { K: x.shape.at(-1) as number, N: packed.shape[0] as number };
  const attributes = { ...sizes, bits: 4, block_size: blockSize, accuracy_level: 1 };
  return x.graph.node('MatMulNBits', [x, packed, scales], attributes, 'com.microsoft')[0];
}

/** The whole numbers from `start` up to, not including, `end`: int64 [1] each -> [length], a dimension the caller knows. */
export function range(start: Value, end: Value, length: Dim): Value {
  const one = start.graph.constant('int64', 1);
  return start.graph.node('Range', [reshape(start, []), reshape(end, []), one], {}, '', { shape: [length] })[0];
}

/** Row k is 1 at indices[k], 0 elsewhere: indices int64 [K] or [K, 1] -> float32 [K, length]. */
function oneHot(indices: Value, length: Dim): Value {
  const { graph } = indices;
  const column = reshape(indices, [indices.shape[0], 1]);
  const all = range(graph.constant('int64', [0]), graph.dimension(length), length);
  return cast(equal(column, all), 'float32');
}

/** x [N, D] at rows int64 [K] -> [K, D], as a product: its gradient is one too and scatters nothing. x must be finite. */
export function pickRows(x: Value, rows: Value): Value {
  return gemm(oneHot(rows, x.shape[0]), x);
}

/** x [K, V] at columns int64 [K, 1] -> [K, 1], without a scatter in its gradient. */
export function pickColumns(x: Value, columns: Value): Value {
  const all = range(x.graph.constant('int64', [0]), x.graph.dimension(x.shape[1]), x.shape[1]);
  return reduceSum(where(equal(columns, all), x, 0), [-1]);
}

/** The sums [R, 1] of values [K, 1] by their row int64 [K, 1], and a function that gives each its row's value of [R, 1]. */
export function sumByRow(values: Value, rows: Value, count: Dim): { sums: Value; spread(perRow: Value): Value } {
  const chosen = oneHot(rows, count);
  return { sums: gemm(chosen, values, { transposeA: true }), spread: (perRow) => gemm(chosen, perRow) };
}

/** One turn of a loop: whether there is to be another (bool []), the carried values for it, and what is kept of this one. */
export type Turn = { goOn: Value; carried: readonly Value[]; collected: readonly Value[] };

/**
 * Up to `turns` (int64 []) turns: `turn` is given the number of the turn (int64 [], from 0) and the carried values, which
 * keep their types and shapes. Gives the carried values after the last turn, and [made, ...] of what each turn collected,
 * `made` being the caller's name for the number of turns that were made.
 */
export function loop(
  turns: Value,
  start: readonly Value[],
  made: Dim,
  turn: (index: Value, carried: readonly Value[]) => Turn,
): { carried: Value[]; collected: Value[] } {
  const graph = turns.graph;
  const body = new Graph(`${graph.name} turn`, graph);
  const index = body.input(graph.freshName('turn'), 'int64', []);
  body.input(graph.freshName('begun'), 'bool', []);
  const { goOn, carried, collected } = turn(
    index,
    start.map(({ dtype, shape }) => body.input(graph.freshName('carried'), dtype, shape)),
  );
  for (const value of [goOn, ...carried, ...collected]) body.output(graph.freshName('given'), value);
  const operands = [turns, graph.constant('bool', 1), ...start];
  const inputs = [...operands, ...body.readFromOutside()];
  const results = graph.node('Loop', inputs, {}, '', { shape: [made] }, { graph: body, operands: operands.length });
  return { carried: results.slice(0, start.length), collected: results.slice(start.length) };
}

/** A tensor of one repeated number. */
export function filled(graph: Graph, dtype: DType, shape: Shape, content: number): Value {
  return expand(graph.constant(dtype, content), shape);
}
