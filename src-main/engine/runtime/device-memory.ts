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
import { productOf } from '../graph/dims.ts';
import { Graph } from '../graph/graph.ts';
import { concat, gather, mul, reshape } from '../graph/ops.ts';
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
      const copier = await this.#copier('up', tensors[name].shape.length);
      made[name] = this.#own(await copier.runOnDevice({ x: tensors[name], one }));
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

  /** A tensor [A, B, C, D] of zeros. */
  async zeros([A, B, C, D]: readonly number[]): Promise<DeviceTensor> {
    const zerosOf = (shape: readonly number[]): Tensor => ({
      dtype: 'float32',
      shape,
      data: new Float32Array(shape.reduce((product, dim) => product * dim, 1)),
    });
    const session = await this.#session('zeros', (graph) => {
      graph.output(
        'y',
        mul(graph.input('a', 'float32', ['A', 'B', 1, 1]), graph.input('b', 'float32', [1, 1, 'C', 'D'])),
      );
    });
    return this.#own(await session.runOnDevice({ a: zerosOf([A, B, 1, 1]), b: zerosOf([1, 1, C, D]) }));
  }

  /** Vectors [.., E] of one or two tensors, counted through all of them: indices int64 [I..] -> [I.., E]. */
  async gather(sources: readonly DeviceTensor[], indices: Tensor): Promise<DeviceTensor> {
    const width = sources[0].shape.at(-1)!;
    const [rank, ranks] = [indices.shape.length, sources.map(({ shape }) => shape.length)];
    const session = await this.#session(`gather ${width} ${ranks} ${rank}`, (graph) => {
      const symbols = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name}${i}`);
      const vectors = ranks.map((count, i) => {
        const x = graph.input(`x${i}`, 'float32', [...symbols(`D${i}`, count - 1), width]);
        return reshape(x, [productOf(x.shape.slice(0, -1)), width]);
      });
      graph.output('y', gather(concat(vectors, 0), graph.input('indices', 'int64', symbols('I', rank))));
    });
    const feeds = Object.fromEntries(sources.map((source, i) => [`x${i}`, source]));
    return this.#own(await session.runOnDevice({ ...feeds, indices }));
  }

  release(tensors: DeviceTensors | readonly DeviceTensor[]): void {
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

  #own({ y }: Record<string, DeviceTensor>): DeviceTensor {
    this.#owned.add(y);
    return y;
  }

  /** y = 1 x, a product that no optimizer takes away: the result is a tensor of its own. */
  #copier(way: 'up' | 'down', rank: number): Promise<Session> {
    const dims = Array.from({ length: rank }, (_, i) => `D${i}`);
    return this.#session(
      `copy ${way} ${rank}`,
      (graph) => graph.output('y', mul(graph.input('x', 'float32', dims), graph.input('one', 'float32', []))),
      way === 'up',
    );
  }

  /** The session of that name; its graph has one result, y. */
  #session(name: string, build: (graph: Graph) => void, onDevice = true): Promise<Session> {
    const known = this.#sessions.get(name);
    if (known) return known;
    const graph = new Graph(name);
    build(graph);
    const session = createSession(graph, { threads: 1, provider: 'webgpu', onDevice });
    this.#sessions.set(name, session);
    return session;
  }
}

const one: Tensor = { dtype: 'float32', shape: [], data: Float32Array.of(1) };
