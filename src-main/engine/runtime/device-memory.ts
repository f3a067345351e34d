/**
 * Tensors that live in the GPU's memory (WebGPU, `gpu-buffer` tensors of onnxruntime-node 1.30.0): uploaded once, fed to and
 * written by any session of the process, read back on demand. The binding never frees them by itself: everything made here
 * is counted, and gone once the memory is disposed.
 *
 * What was found out about the binding (tests/webgpu/device-memory): a session with preferredOutputLocation gives such
 * tensors but mixes up its outputs when a run fetches only some, so only the uploader has it; a tensor handed in as a fetch
 * is written in place, also where it is an input of the same run; CUDA and DirectML have nothing of the kind.
 */
import { assert } from '../base/assert.ts';
import { Graph } from '../graph/graph.ts';
import { mul } from '../graph/ops.ts';
import type { DeviceTensor } from './device-tensor.ts';
import type { Parameters } from './parameters.ts';
import { createSession, type Session, type Tensor } from './session.ts';

export type DeviceTensors = Readonly<Record<string, DeviceTensor>>;

/** All that one run holds on the GPU. Weights are there once, however many sessions read them. */
export class DeviceMemory {
  readonly #sessions = new Map<string, Promise<Session>>();
  readonly #mirrors = new Map<Parameters, Promise<DeviceTensors>>();
  readonly #owned = new Set<DeviceTensor>();

  /** A copy of the parameters on the GPU, made at the first call. A session that writes into it changes it for all. */
  mirror(parameters: Parameters): Promise<DeviceTensors> {
    const known = this.#mirrors.get(parameters) ?? this.upload(parameters);
    this.#mirrors.set(parameters, known);
    return known;
  }

  /** The parameters were changed in main memory: what is on the GPU of them is out of date and let go. */
  async forget(parameters: Parameters): Promise<void> {
    const mirror = await this.#mirrors.get(parameters);
    this.#mirrors.delete(parameters);
    if (mirror) this.release(mirror);
  }

  /** Tensors of their own, by name. */
  async upload({ specs, tensors }: Pick<Parameters, 'specs' | 'tensors'>): Promise<DeviceTensors> {
    const made: Record<string, DeviceTensor> = {};
    for (const { name } of specs) {
      const { y } = await (await this.#copier('up', tensors[name].shape.length)).runOnDevice({ x: tensors[name], one });
      this.#owned.add(y);
      made[name] = y;
    }
    return made;
  }

  /** Copies in main memory, by name. */
  async read(tensors: DeviceTensors): Promise<Map<string, Float32Array>> {
    const read = new Map<string, Float32Array>();
    for (const [name, tensor] of Object.entries(tensors)) {
      const { y } = await (await this.#copier('down', tensor.shape.length)).run({ x: tensor, one });
      read.set(name, y.data as Float32Array);
    }
    return read;
  }

  release(tensors: DeviceTensors): void {
    for (const tensor of Object.values(tensors)) {
      assert(this.#owned.delete(tensor), 'a tensor is released twice');
      tensor.dispose();
    }
  }

  async dispose(): Promise<void> {
    for (const tensor of this.#owned) tensor.dispose();
    this.#owned.clear();
    this.#mirrors.clear();
    for (const session of this.#sessions.values()) await (await session).dispose();
    this.#sessions.clear();
  }

  /** y = 1 x, a product that no optimizer takes away: the result is a tensor of its own. */
  #copier(way: 'up' | 'down', rank: number): Promise<Session> {
    const key = `${way} ${rank}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const graph = new Graph(`copy ${key}`);
    const x = graph.input(
      'x',
      'float32',
      Array.from({ length: rank }, (_, i) => `D${i}`),
    );
    graph.output('y', mul(x, graph.input('one', 'float32', [])));
    const session = createSession(graph, { threads: 1, provider: 'webgpu', onDevice: way === 'up' });
    this.#sessions.set(key, session);
    return session;
  }
}

const one: Tensor = { dtype: 'float32', shape: [], data: Float32Array.of(1) };
