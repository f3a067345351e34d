/**
 * What ONNX Runtime's own list of kernels says of CUDA and DirectML (docs/OperatorKernels.md of microsoft/onnxruntime, MIT,
 * commit 001d12d2623f): for machines where neither can be asked. Only the operators of our graphs. That a kernel is listed
 * does not prove that it runs; that none is listed means the CPU.
 *
 * A kernel fits an operator's version when it was made for that very version, or names a last one that is not below it
 * (VerifyVersion in onnxruntime/core/framework/kernel_registry.cc): one that only says "18 and later" is not taken for 20.
 */
import type { Graph, Node } from '../graph/graph.ts';
import { type Fallback, formOf } from './capabilities.ts';

/** First version, last version or null where none is named, and the types of each input; the last also for all further ones. */
type Kernel = readonly [first: number, last: number | null, ...types: string[]];

// b bool, u uint8, i int32, l int64, h float16, f float32, d float64
const any = 'builhfd';
const floats = 'hfd';
const numbers = 'uilhfd';
const compared = 'ilhfd';
const index = 'il';

const cuda: Record<string, Kernel> = {
  Add: [14, null, numbers],
  And: [7, null, 'b'],
  ArgMax: [13, null, floats],
  Cast: [19, 22, any],
  Concat: [13, null, any],
  CumSum: [14, null, compared, index],
  Div: [14, null, numbers],
  Equal: [13, null, 'bilhfd'],
  Exp: [13, null, floats],
  Expand: [13, null, any, 'l'],
  Gather: [13, null, any, index],
  GatherElements: [13, null, any, index],
  Gemm: [13, null, floats],
  Greater: [13, null, compared],
  Identity: [19, null, any],
  Less: [13, null, compared],
  LessOrEqual: [16, null, compared],
  Log: [13, null, floats],
  Loop: [19, null, 'l', 'b', any],
  MatMul: [13, null, floats],
  Max: [13, null, compared],
  Min: [13, null, compared],
  Mul: [14, null, numbers],
  Neg: [13, null, compared],
  Range: [11, null, 'ilfd'],
  Reciprocal: [13, null, floats],
  ReduceMax: [18, null, compared, 'l'],
  ReduceMean: [18, null, 'ihfd', 'l'],
  ReduceSum: [13, null, compared, 'l'],
  ReduceSumSquare: [18, null, floats, 'l'],
  Reshape: [19, 22, any, 'l'],
  ScatterElements: [18, null, any, index, any],
  Shape: [19, 22, any],
  Sigmoid: [13, null, floats],
  SimplifiedLayerNormalization: [1, null, floats],
  Softmax: [13, null, floats],
  Split: [18, null, any, 'l'],
  Sqrt: [13, null, floats],
  Sub: [14, null, numbers],
  Tanh: [13, null, floats],
  Transpose: [13, 22, any],
  Where: [16, null, 'b', 'uilhfd'],
  'com.microsoft.FastGelu': [1, null, floats],
  'com.microsoft.FusedMatMul': [1, null, floats],
  'com.microsoft.QuickGelu': [1, null, floats],
  'com.microsoft.RotaryEmbedding': [1, null, 'hf', 'l', 'hf'],
};

const halves = 'hf';
const whole = 'uilhf';

const dml: Record<string, Kernel> = {
  Add: [14, null, whole],
  And: [7, null, 'b'],
  ArgMax: [13, null, whole],
  Cast: [21, null, any],
  Concat: [13, null, any],
  CumSum: [14, null, 'ilhf', index],
  Div: [14, null, whole],
  Equal: [19, null, whole],
  Exp: [13, null, halves],
  Expand: [13, null, any, 'l'],
  Gather: [13, null, any, index],
  GatherElements: [13, null, any, index],
  Gemm: [13, null, halves],
  Greater: [13, null, whole],
  Identity: [21, null, any],
  Less: [13, null, whole],
  LessOrEqual: [16, null, whole],
  Log: [13, null, halves],
  MatMul: [13, null, halves],
  Max: [13, null, whole],
  Min: [13, null, whole],
  Mul: [14, null, whole],
  Neg: [13, null, 'ilhf'],
  Range: [11, null, 'ilf'],
  Reciprocal: [13, null, halves],
  ReduceMax: [20, null, any, 'l'],
  ReduceMean: [18, null, 'ilhf', 'l'],
  ReduceSum: [13, null, 'ilhf', 'l'],
  ReduceSumSquare: [18, null, 'ilhf', 'l'],
  Reshape: [21, null, any, 'l'],
  ScatterElements: [16, null, any, index, any],
  Shape: [21, null, any],
  Sigmoid: [13, null, halves],
  SimplifiedLayerNormalization: [1, null, halves],
  Softmax: [13, null, halves],
  Split: [18, null, any, 'l'],
  Sqrt: [13, null, halves],
  Sub: [14, null, whole],
  Tanh: [13, null, halves],
  Transpose: [21, null, any],
  Where: [16, null, 'b', any],
  'com.microsoft.FastGelu': [1, null, halves],
  'com.microsoft.FusedMatMul': [1, null, halves],
  'com.microsoft.QuickGelu': [1, null, halves],
  'com.microsoft.RotaryEmbedding': [1, null, halves, 'l', halves],
};

const published = { cuda, dml } as const;

/** Versions up to opset 21 of operators that have more than one from opset 13 on, where they matter here. */
const versions: Record<string, readonly number[]> = {
  Cast: [13, 19, 21],
  Equal: [13, 19],
  Identity: [13, 14, 16, 19, 21],
  Loop: [13, 16, 19, 21],
  ReduceMax: [13, 18, 20],
  Reshape: [13, 14, 19, 21],
  ScatterElements: [13, 16, 18],
  Shape: [13, 15, 19, 21],
  Transpose: [13, 21],
};

const letters: Record<string, string> = {
  bool: 'b',
  uint8: 'u',
  int32: 'i',
  int64: 'l',
  float16: 'h',
  float32: 'f',
  float64: 'd',
};

/** The nodes of a graph for which the provider lists no kernel at this opset. */
export function publishedFallbacks(graph: Graph, provider: keyof typeof published, opset: number): Fallback[] {
  return graph
    .everyNode()
    .filter((node) => !isListed(node, published[provider], opset))
    .map((node) => ({ name: node.outputs[0].name, form: formOf(node), indices: false }));
}

function isListed({ op, domain, inputs, body }: Node, kernels: Record<string, Kernel>, opset: number): boolean {
  const kernel = kernels[domain === '' ? op : `${domain}.${op}`];
  if (kernel === undefined) return false;
  const [first, last, ...types] = kernel;
  const version = versions[op]?.findLast((one) => one <= opset) ?? first;
  if (first !== version && !(last !== null && first <= version && version <= last)) return false;
  return inputs
    .slice(0, body?.operands)
    .every((input, i) => input === null || (types[i] ?? types.at(-1)!).includes(letters[input.dtype]));
}
