/**
 * Gradients of graphs against finite differences, on the real ONNX Runtime. A case is a function of tensors; its loss is
 * the sum of the result times random weights, so that no part of the gradient can cancel.
 */
import { randomStream } from '../../src-main/engine/base/random.ts';
import type { Shape } from '../../src-main/engine/graph/dims.ts';
import { type DType, Graph, type Value } from '../../src-main/engine/graph/graph.ts';
import { mul, reduceSum } from '../../src-main/engine/graph/ops.ts';
import { gradientsOf } from '../../src-main/engine/graph/reverse.ts';
import { createSession, type Session, type Tensor } from '../../src-main/engine/runtime/session.ts';

export type FloatType = 'float32' | 'float64';
export type TensorFunction = (inputs: Value[]) => Value;
export type Feeds = Record<string, Tensor>;

/** The graph of x0, x1, .. and `weights` with the outputs y, loss, g0, g1, ..; `result` is the function's value. */
export function gradientGraph(
  shapes: readonly Shape[],
  f: TensorFunction,
  dtype: FloatType,
): { graph: Graph; result: Value } {
  const graph = new Graph('case');
  const inputs = shapes.map((shape, i) => graph.input(`x${i}`, dtype, shape));
  const result = f(inputs);
  addGradients(graph, result, inputs);
  return { graph, result };
}

export function addGradients(graph: Graph, result: Value, inputs: readonly Value[]): void {
  const weights = graph.input('weights', result.dtype, result.shape);
  const loss = reduceSum(mul(result, weights), undefined, false);
  graph.output('y', result);
  graph.output('loss', loss);
  for (const [i, gradient] of gradientsOf(loss, inputs).entries()) graph.output(`g${i}`, gradient);
}

/** Random numbers in a domain; the same for the same name, in either precision. */
export function randomTensor(dtype: FloatType, shape: readonly number[], name: string, domain = [-2, 2]): Tensor {
  const random = randomStream(1, name);
  const size = shape.reduce((product, n) => product * n, 1);
  const numbers = Array.from({ length: size }, () => domain[0] + (domain[1] - domain[0]) * random.next());
  return { dtype, shape, data: dtype === 'float64' ? Float64Array.from(numbers) : Float32Array.from(numbers) };
}

export async function withSession<T>(graph: Graph, use: (session: Session) => Promise<T>): Promise<T> {
  const session = await createSession(graph, { threads: 1 });
  try {
    return await use(session);
  } finally {
    await session.dispose();
  }
}

/** One run of a graph on its own session. */
export async function evaluate(graph: Graph, feeds: Feeds): Promise<Record<string, Tensor>> {
  return withSession(graph, (session) => session.run(feeds));
}

export const numbersOf = (tensor: Tensor): number[] => Array.from(tensor.data as Float64Array, Number);

async function lossOf(session: Session, feeds: Feeds): Promise<number> {
  return numbersOf((await session.run(feeds, ['loss'])).loss)[0];
}

/** Central differences of the loss, one element of one input after the other. */
export async function finiteDifferences(
  session: Session,
  feeds: Feeds,
  input: string,
  step: number,
): Promise<number[]> {
  const data = feeds[input].data as Float64Array;
  const slopes: number[] = [];
  for (let i = 0; i < data.length; i++) {
    const kept = data[i];
    data[i] = kept + step;
    const above = await lossOf(session, feeds);
    data[i] = kept - step;
    const below = await lossOf(session, feeds);
    data[i] = kept;
    slopes.push((above - below) / (2 * step));
  }
  return slopes;
}

/** The slope of the loss when every input moves along its direction at once. */
export async function slopeAlong(session: Session, feeds: Feeds, directions: Feeds, step: number): Promise<number> {
  const moved = (sign: number): Feeds => {
    const result = { ...feeds };
    for (const [name, direction] of Object.entries(directions)) {
      const along = numbersOf(direction);
      const data = Float64Array.from(numbersOf(feeds[name]), (x, i) => x + sign * step * along[i]);
      result[name] = { ...feeds[name], data };
    }
    return result;
  };
  return ((await lossOf(session, moved(1))) - (await lossOf(session, moved(-1)))) / (2 * step);
}

/** Largest difference between two lists, relative to the largest element (at least 1) of the second. */
export function relativeError(actual: readonly number[], expected: readonly number[]): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  const scale = Math.max(1, ...expected.map(Math.abs));
  const errors = actual.map((x, i) => Math.abs(x - expected[i]) / scale);
  return errors.some(Number.isNaN) ? Number.POSITIVE_INFINITY : Math.max(0, ...errors);
}

export function integers(
  dtype: DType & ('int64' | 'int32'),
  shape: readonly number[],
  list: readonly number[],
): Tensor {
  return { dtype, shape, data: dtype === 'int64' ? BigInt64Array.from(list, BigInt) : Int32Array.from(list) };
}
