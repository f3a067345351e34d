/**
 * Named tensors that live in one flat float32 array, so that gradients, moments and updates are single loops and a tensor
 * is fed to a session as a view without a copy.
 */
import { ParetuneError } from '../../contract/errors.ts';
import { assert } from '../base/assert.ts';
import { floatsToHalves, halvesToFloats } from '../base/half.ts';
import type { Tensor } from './session.ts';

export type TensorSpec = { readonly name: string; readonly shape: readonly number[] };

export type Parameters = {
  readonly specs: readonly TensorSpec[];
  /** all tensors one after the other, in the order of specs */
  readonly flat: Float32Array;
  /** name -> view into flat */
  readonly tensors: Readonly<Record<string, Weight>>;
};

/** `half`: the bits of its float16 numbers where that is how it is kept; `data` is then widened anew at each reading. */
export type Weight = Tensor & { data: Float32Array; readonly half?: Uint16Array };

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Weights of more numbers are in memory of one thread: shared memory is no weight on the garbage collector's scales. */
export const MOST_SHARED = 4_000_000;

/** Whether ONNX Runtime may read memory that threads share: Node's interface for it takes such buffers since 22.21 and 24.9. */
function readsSharedMemory(): boolean {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 9) || (major === 22 && minor >= 21);
}

/** Zeros, for other threads to read and write too where it is shared. */
export function bufferOf(bytes: number, shared: boolean): ArrayBufferLike {
  return shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
}

/** Zeros, or views over a given flat array of the right length. A small model's can be read by other threads, where Node lets them. */
export function makeParameters(specs: readonly TensorSpec[], flat?: Float32Array): Parameters {
  const total = specs.reduce((sum, spec) => sum + elementCount(spec.shape), 0);
  const isShared = total <= MOST_SHARED && readsSharedMemory();
  const memory = flat ?? new Float32Array(bufferOf(4 * total, isShared));
  assert(memory.length === total, `parameters hold ${memory.length} numbers, not ${total}`);
  const tensors: Record<string, Weight> = {};
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

/** How many numbers there are, however they are kept. */
export function parameterCount({ specs }: Pick<Parameters, 'specs'>): number {
  return specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

/**
 * Parameters that nothing will change, filled from named arrays: their matrices rounded to float16 and kept so, which is half
 * of their memory. They have no flat array. Error: `unsupported` where a number is beyond what a half can hold.
 */
export function halfParameters(
  specs: readonly TensorSpec[],
  source: ReadonlyMap<string, { data: Float32Array }>,
): Parameters {
  const kept: Record<string, Weight> = {};
  for (const { name, shape } of specs) {
    const found = source.get(name);
    assert(found?.data.length === elementCount(shape), `no values for ${name}, or too few`);
    const { data } = found;
    if (shape.length < 2) {
      kept[name] = { dtype: 'float32', shape, data: Float32Array.from(data) };
      continue;
    }
    const half = floatsToHalves(data);
    if (half.some((bits, i) => (bits & 0x7c00) === 0x7c00 && Number.isFinite(data[i]))) {
      throw new ParetuneError('unsupported', `The weight ${name} has numbers above 65504, which float16 cannot hold.`, {
        hint: 'Leave train.lora.base at float32.',
      });
    }
    kept[name] = {
      dtype: 'float32',
      shape,
      half,
      get data() {
        return halvesToFloats(half);
      },
    };
  }
  return {
    specs,
    tensors: kept,
    get flat(): never {
      throw new Error('internal: parameters that are kept in halves have no flat array');
    },
  };
}

/** The tensors as a map, e.g. for a checkpoint. The arrays are views, not copies. */
export function tensorMap(parameters: Parameters): Map<string, { shape: number[]; data: Float32Array }> {
  return new Map(
    parameters.specs.map(({ name, shape }) => [name, { shape: [...shape], data: parameters.tensors[name].data }]),
  );
}
