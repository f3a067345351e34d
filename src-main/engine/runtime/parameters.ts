/**
 * Named tensors that live in one flat float32 array, so that gradients, moments and updates are single loops and a tensor
 * is fed to a session as a view without a copy.
 */
import { assert } from '../base/assert.ts';
import type { Tensor } from './session.ts';

export type TensorSpec = { readonly name: string; readonly shape: readonly number[] };

export type Parameters = {
  readonly specs: readonly TensorSpec[];
  /** all tensors one after the other, in the order of specs */
  readonly flat: Float32Array;
  /** name -> view into flat */
  readonly tensors: Readonly<Record<string, Tensor & { data: Float32Array }>>;
};

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Zeros, or views over a given flat array of the right length. */
export function makeParameters(specs: readonly TensorSpec[], flat?: Float32Array): Parameters {
  const total = specs.reduce((sum, spec) => sum + elementCount(spec.shape), 0);
  const memory = flat ?? new Float32Array(total);
  assert(memory.length === total, `parameters hold ${memory.length} numbers, not ${total}`);
  const tensors: Record<string, Tensor & { data: Float32Array }> = {};
  let offset = 0;
  for (const { name, shape } of specs) {
    const length = elementCount(shape);
    tensors[name] = { dtype: 'float32', shape, data: memory.subarray(offset, offset + length) };
    offset += length;
  }
  return { specs, flat: memory, tensors };
}

/** Parameters filled from named arrays; every name must be there with the right length. */
export function fillParameters(
  specs: readonly TensorSpec[],
  source: ReadonlyMap<string, { data: Float32Array } | Float32Array>,
): Parameters {
  const parameters = makeParameters(specs);
  for (const { name } of specs) {
    const found = source.get(name);
    assert(found, `no values for ${name}`);
    parameters.tensors[name].data.set(found instanceof Float32Array ? found : found.data);
  }
  return parameters;
}

/** The tensors as a map, e.g. for a checkpoint. The arrays are views, not copies. */
export function tensorMap(parameters: Parameters): Map<string, { shape: number[]; data: Float32Array }> {
  return new Map(
    parameters.specs.map(({ name, shape }) => [name, { shape: [...shape], data: parameters.tensors[name].data }]),
  );
}
