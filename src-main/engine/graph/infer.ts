/**
 * The legal graphs as a table: for every operator we emit, the types and shapes of its outputs from those of its inputs.
 * A wrong shape or type stops here with the operator and its inputs named. Operator semantics: ONNX opset 21
 * (onnx.ai/onnx/operators) and ONNX Runtime's contrib operators.
 */
import {
  broadcast,
  type Dim,
  positiveAxis,
  productOf,
  quotientOf,
  type Shape,
  sameShape,
  showShape,
  sumOf,
} from './dims.ts';
import { type DType, type Node, showValue, type Value } from './graph.ts';

export type TensorType = { dtype: DType; shape: Shape };
type Call = Omit<Node, 'outputs'>;
type Infer = (call: Call, inputs: Value[]) => TensorType[];

/** Types of a node's outputs, or an error that names the operator and shows its inputs. */
export function inferOutputs(call: Call): TensorType[] {
  const infer = table[call.op];
  if (!infer) throw new Error(`internal: operator ${call.op} has no entry in the table of legal operators`);
  const inputs = call.inputs.filter((input) => input !== null);
  try {
    return infer(call, inputs);
  } catch (error) {
    const shown = call.inputs.map(showValue).join(', ');
    throw new Error(`${call.op}(${shown}): ${(error as Error).message}`, { cause: error });
  }
}

/** Operators that the table knows, for tests that must cover all of them. */
export function knownOperators(): string[] {
  return Object.keys(table);
}

function fail(message: string): never {
  throw new Error(message);
}

function need(condition: unknown, message: string): asserts condition {
  if (!condition) fail(message);
}

/** Whether a type is one that gradients exist for. */
export const isFloat = (dtype: DType): boolean => dtype === 'float32' || dtype === 'float64' || dtype === 'float16';

const unary: Infer = (_, [x]) => {
  need(isFloat(x.dtype), 'needs a float tensor');
  return [{ dtype: x.dtype, shape: x.shape }];
};

const elementwise =
  (output?: DType): Infer =>
  (_, [a, b]) => {
    need(a.dtype === b.dtype, 'both sides must have one type');
    const shape = broadcast(a.shape, b.shape);
    need(shape, 'shapes do not broadcast');
    return [{ dtype: output ?? a.dtype, shape }];
  };

function axisOf(call: Call, rank: number, fallback: number): number {
  const axis = positiveAxis((call.attributes.axis as number | undefined) ?? fallback, rank);
  need(axis >= 0 && axis < rank, `axis ${call.attributes.axis} is outside rank ${rank}`);
  return axis;
}

const reduce: Infer = (call, [x]) => {
  const keep = (call.attributes.keepdims ?? 1) === 1;
  const axes = (call.known.axes ?? x.shape.map((_, i) => i)).map((axis) => positiveAxis(axis, x.shape.length));
  need(
    axes.every((axis) => axis >= 0 && axis < x.shape.length),
    `axes ${call.known.axes} are outside the rank`,
  );
  need(new Set(axes).size === axes.length, `axes ${call.known.axes} name one axis twice`);
  need(axes.length > 0 || x.shape.length === 0, 'no axis is named, which ONNX reads as all of them');
  const shape = x.shape.flatMap((dim, i) => (axes.includes(i) ? (keep ? [1] : []) : [dim]));
  return [{ dtype: x.dtype, shape }];
};

/** The two last dimensions multiplied, those before broadcast. */
function matmulShape(a: Shape, b: Shape, transposeA: boolean, transposeB: boolean): Shape {
  need(a.length >= 2 && b.length >= 2, 'needs rank 2 or more');
  const [aRows, aColumns] = transposeA ? [a.at(-1), a.at(-2)] : [a.at(-2), a.at(-1)];
  const [bRows, bColumns] = transposeB ? [b.at(-1), b.at(-2)] : [b.at(-2), b.at(-1)];
  need(aColumns === bRows, `inner dimensions ${aColumns} and ${bRows} differ`);
  const batch = broadcast(a.slice(0, -2), b.slice(0, -2));
  need(batch, 'batch dimensions do not broadcast');
  return [...batch, aRows as Dim, bColumns as Dim];
}

const sameAsFirst: Infer = (_, [x]) => [{ dtype: x.dtype, shape: x.shape }];

const table: Record<string, Infer> = {
  Add: elementwise(),
  Sub: elementwise(),
  Mul: elementwise(),
  Div: elementwise(),
  Min: elementwise(),
  Max: elementwise(),
  Less: elementwise('bool'),
  LessOrEqual: elementwise('bool'),
  Greater: elementwise('bool'),
  Equal: elementwise('bool'),
  And: (call, operands) => {
    need(operands[0].dtype === 'bool', 'needs bools');
    return elementwise('bool')(call, operands);
  },
  Neg: unary,
  Abs: unary,
  Exp: unary,
  Log: unary,
  Sqrt: unary,
  Reciprocal: unary,
  Sigmoid: unary,
  Tanh: unary,
  QuickGelu: unary,
  FastGelu: unary,
  Softmax: (call, [x]) => {
    axisOf(call, x.shape.length, -1);
    return unary(call, [x]);
  },
  CumSum: sameAsFirst,
  Identity: sameAsFirst,
  Not: (call, [x]) => {
    need(x.dtype === 'bool', 'needs a bool');
    return sameAsFirst(call, [x]);
  },
  Cast: (call, [x]) => [
    { dtype: castNames[call.attributes.to as number] ?? fail('unknown target type'), shape: x.shape },
  ],
  Where: (_, [condition, a, b]) => {
    need(condition.dtype === 'bool' && a.dtype === b.dtype, 'needs a bool and two tensors of one type');
    const inner = broadcast(a.shape, b.shape);
    const shape = inner && broadcast(condition.shape, inner);
    need(shape, 'shapes do not broadcast');
    return [{ dtype: a.dtype, shape }];
  },
  Shape: (call) => [
    { dtype: 'int64', shape: [((call.attributes.end as number) ?? 0) - ((call.attributes.start as number) ?? 0)] },
  ],
  Range: (call, [start]) => [{ dtype: start.dtype, shape: call.known.shape ?? fail('the length is not known') }],
  Reshape: (call, [x]) => {
    const shape = call.known.shape ?? fail('the target shape is not known');
    need(productOf(shape) === productOf(x.shape), `cannot become ${showShape(shape)}: another number of elements`);
    return [{ dtype: x.dtype, shape }];
  },
  Expand: (call, [x]) => {
    const shape = call.known.shape ?? fail('the target shape is not known');
    need(sameShape(broadcast(x.shape, shape) ?? [], shape), `does not broadcast to ${showShape(shape)}`);
    return [{ dtype: x.dtype, shape }];
  },
  Transpose: (call, [x]) => {
    const perm = call.attributes.perm as number[];
    need(
      [...perm].sort((a, b) => a - b).every((p, i) => p === i) && perm.length === x.shape.length,
      `perm ${perm} does not fit`,
    );
    return [{ dtype: x.dtype, shape: perm.map((axis) => x.shape[axis]) }];
  },
  Concat: (call, inputs) => {
    const axis = axisOf(call, inputs[0].shape.length, 0);
    for (const input of inputs) {
      need(
        input.dtype === inputs[0].dtype && input.shape.length === inputs[0].shape.length,
        'parts differ in type or rank',
      );
      need(
        input.shape.every((dim, i) => i === axis || dim === inputs[0].shape[i]),
        'parts differ outside the axis',
      );
    }
    const length = sumOf(inputs.map((input) => input.shape[axis]));
    return [{ dtype: inputs[0].dtype, shape: inputs[0].shape.map((dim, i) => (i === axis ? length : dim)) }];
  },
  Split: (call, [x]) => {
    const axis = axisOf(call, x.shape.length, 0);
    const sizes = call.known.sizes ?? fail('the sizes are not known');
    need(sumOf(sizes) === x.shape[axis], `sizes ${sizes} do not add up to ${x.shape[axis]}`);
    return sizes.map((size) => ({ dtype: x.dtype, shape: x.shape.map((dim, i) => (i === axis ? size : dim)) }));
  },
  Gather: (call, [x, indices]) => {
    need(indices.dtype === 'int64' || indices.dtype === 'int32', 'indices must be integers');
    const axis = axisOf(call, x.shape.length, 0);
    return [{ dtype: x.dtype, shape: [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)] }];
  },
  GatherElements: (call, [x, indices]) => {
    need(
      indices.dtype === 'int64' && indices.shape.length === x.shape.length,
      'indices must be int64 of the same rank',
    );
    axisOf(call, x.shape.length, 0);
    return [{ dtype: x.dtype, shape: indices.shape }];
  },
  ScatterElements: (call, [x, indices, updates]) => {
    need(call.attributes.reduction === 'add', 'only the adding form is used');
    need(indices.dtype === 'int64' && sameShape(indices.shape, updates.shape), 'indices and updates differ in shape');
    need(x.dtype === updates.dtype && x.shape.length === updates.shape.length, 'updates differ in type or rank');
    axisOf(call, x.shape.length, 0);
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  /**
   * Inputs: most turns int64 [], whether to begin bool [], carried values, what the body reads from outside. The body takes
   * the turn, the condition and the carried values; it gives the condition, the carried values and what is collected, one
   * row a turn. The number of turns that were made is a dimension that only the caller can name.
   */
  Loop: ({ inputs, body, known }) => {
    need(body && known.shape?.length === 1, 'needs a body and a name for the number of its turns');
    const [turns, begin, ...carried] = inputs.slice(0, body.operands);
    need(turns?.dtype === 'int64' && turns.shape.length === 0, 'the number of turns must be one int64');
    need(begin?.dtype === 'bool' && begin.shape.length === 0, 'the condition must be one bool');
    const [turn, condition, ...taken] = body.graph.inputs;
    need(turn?.dtype === 'int64' && condition?.dtype === 'bool', 'the body must take a turn and a condition');
    const [goOn, ...given] = body.graph.outputs.map(({ value }) => value);
    need(goOn?.dtype === 'bool' && goOn.shape.length === 0, 'the body must give one bool first');
    need(
      taken.length === carried.length && given.length >= carried.length,
      'the body carries another number of values',
    );
    for (const [i, value] of carried.entries()) {
      for (const other of [taken[i], given[i]])
        need(
          value !== null && value.dtype === other.dtype && sameShape(value.shape, other.shape),
          `carried value ${i} is ${showValue(other)} in the body`,
        );
    }
    const read = new Set(inputs.slice(body.operands));
    need(
      body.graph.readFromOutside().every((value) => read.has(value)),
      'not all that the body reads is an input',
    );
    const collected = given.slice(carried.length);
    const rows = known.shape as Shape;
    return [
      ...given.slice(0, carried.length).map(({ dtype, shape }) => ({ dtype, shape })),
      ...collected.map(({ dtype, shape }) => ({ dtype, shape: [...rows, ...shape] })),
    ];
  },
  ReduceSum: reduce,
  ReduceMean: reduce,
  ReduceMax: reduce,
  ReduceSumSquare: reduce,
  ArgMax: (call, [x]) => {
    const axis = axisOf(call, x.shape.length, 0);
    return [{ dtype: 'int64', shape: x.shape.map((dim, i) => (i === axis ? 1 : dim)) }];
  },
  MatMul: (_, [a, b]) => {
    need(a.dtype === b.dtype, 'both sides must have one type');
    return [{ dtype: a.dtype, shape: matmulShape(a.shape, b.shape, false, false) }];
  },
  FusedMatMul: (call, [a, b]) => {
    need(a.dtype === b.dtype, 'both sides must have one type');
    const { transA, transB } = call.attributes;
    return [{ dtype: a.dtype, shape: matmulShape(a.shape, b.shape, transA === 1, transB === 1) }];
  },
  Gemm: (call, [a, b, c]) => {
    need(a.shape.length === 2 && b.shape.length === 2, 'needs matrices');
    need(a.dtype === b.dtype, 'both sides must have one type');
    const shape = matmulShape(a.shape, b.shape, call.attributes.transA === 1, call.attributes.transB === 1);
    if (c)
      need(sameShape(broadcast(c.shape, shape) ?? [], shape), 'the added matrix does not broadcast to the product');
    return [{ dtype: a.dtype, shape }];
  },
  /** x [.., K] times W [N, K] given as 4-bit numbers, blocks of them with a scale each: packed [N, blocks, block / 2]. */
  MatMulNBits: (call, [x, packed, scales]) => {
    const { K, N, bits, block_size } = call.attributes as Record<string, number>;
    need(bits === 4 && packed.dtype === 'uint8', 'only 4-bit numbers are used, two a byte');
    need(x.shape.at(-1) === K, `the rows have length ${x.shape.at(-1)}, not K = ${K}`);
    const blocks = Math.ceil(K / block_size);
    need(sameShape(packed.shape, [N, blocks, block_size / 2]), `the numbers must be [N, ${blocks}, ${block_size / 2}]`);
    need(sameShape(scales.shape, [N * blocks]) && scales.dtype === x.dtype, `there must be ${N * blocks} scales`);
    return [{ dtype: x.dtype, shape: [...x.shape.slice(0, -1), N] }];
  },
  /** [rows..., D] scaled to unit mean square, times a weight [D]; only the first output is used (see gradients.ts). */
  SimplifiedLayerNormalization: (_, [x, weight]) => {
    need(
      weight.shape.length === 1 && weight.shape[0] === x.shape.at(-1),
      'the weight must have the length of the last axis',
    );
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  /** x [B, S, heads * E], positions [B, S], cosine and sine tables [positions, D / 2]; D is E, or named and smaller. */
  RotaryEmbedding: (call, [x, positions, cosines, sines]) => {
    need(
      x.shape.length === 3 && sameShape(positions.shape, x.shape.slice(0, 2)),
      'needs x [B, S, H] and positions [B, S]',
    );
    const size = quotientOf(x.shape[2], call.attributes.num_heads as number);
    const turned = (call.attributes.rotary_embedding_dim as number | undefined) ?? size;
    need(
      sameShape(cosines.shape, sines.shape) && turned === 2 * (cosines.shape[1] as number),
      'tables do not fit the head size',
    );
    need(typeof size === 'number' && (turned as number) <= size, 'more is turned than a head has');
    return [{ dtype: x.dtype, shape: x.shape }];
  },
};

/** ONNX TensorProto.DataType numbers. */
export const dtypeNumbers: Record<DType, number> = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
};
const castNames = Object.fromEntries(Object.entries(dtypeNumbers).map(([name, number]) => [number, name])) as Record<
  number,
  DType
>;
