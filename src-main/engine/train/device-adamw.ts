/**
 * The gradient's sum and AdamW in the GPU's memory: weights, moments and sums stay there and are written in place. After
 * an update weights and moments are read back once, so that main memory always holds the last finished step: a GPU that is
 * lost takes nothing with it. The order of operations is that of adamw.ts.
 */
import { Graph, type Value } from '../graph/graph.ts';
import { add, concat, div, mul, reduceSumSquare, reshape, sqrt, sub } from '../graph/ops.ts';
import type { DeviceMemory, DeviceTensors } from '../runtime/device-memory.ts';
import { makeParameters, type Parameters, type TensorSpec } from '../runtime/parameters.ts';
import { createSession, type Session, type Tensor } from '../runtime/session.ts';
import type { AdamWSettings, AdamWState } from './adamw.ts';

const scalar = (value: number): Tensor => ({ dtype: 'float32', shape: [], data: Float32Array.of(value) });

/** NAME -> PREFIX.NAME */
function prefixed(prefix: string, tensors: DeviceTensors): DeviceTensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`${prefix}.${name}`, tensor]));
}

export class DeviceAdamW {
  readonly #memory: DeviceMemory;
  readonly #parameters: Parameters;
  readonly #settings: AdamWSettings;
  #sums: Promise<DeviceTensors> | null = null;
  #moments: Promise<[DeviceTensors, DeviceTensors]> | null = null;
  #norm: Promise<Session> | null = null;
  #update: Promise<Session> | null = null;

  constructor(memory: DeviceMemory, parameters: Parameters, settings: AdamWSettings) {
    this.#memory = memory;
    this.#parameters = parameters;
    this.#settings = settings;
  }

  /** What a run of the training graph is fed, and where it writes: the sum so far (`first` forgets it) and the new one. */
  async accumulating(
    first: boolean,
  ): Promise<{ feeds: Record<string, Tensor | DeviceTensors[string]>; into: DeviceTensors }> {
    this.#sums ??= this.#memory.upload(makeParameters(this.#parameters.specs));
    const sums = await this.#sums;
    return { feeds: { ...prefixed('sum', sums), keep: scalar(first ? 0 : 1) }, into: prefixed('gradient', sums) };
  }

  /** 2-norm of the gradient that was added up. */
  async norm(): Promise<number> {
    const { specs } = this.#parameters;
    this.#norm ??= createSession(normGraph(specs), { threads: 1, provider: 'webgpu' });
    const { squares } = await (await this.#norm).run(prefixed('gradient', await this.#sums!));
    return Math.sqrt((squares.data as Float32Array).reduce((sum, square) => sum + square, 0));
  }

  /** The gradient that was added up, in main memory. */
  async gradient(into: Parameters): Promise<void> {
    take(into, await this.#memory.read(await this.#sums!));
  }

  /** One update in place, and weights and moments back to main memory. */
  async update(state: AdamWState, { learningRate, scale }: { learningRate: number; scale: number }): Promise<void> {
    const { specs } = this.#parameters;
    const { beta1, beta2, weightDecay } = this.#settings;
    const inMemory = [makeParameters(specs, state.m), makeParameters(specs, state.v)] as const;
    this.#moments ??= Promise.all([this.#memory.upload(inMemory[0]), this.#memory.upload(inMemory[1])]);
    this.#update ??= createSession(adamwGraph(specs, this.#settings), { threads: 1, provider: 'webgpu' });
    const [weights, [m, v]] = [await this.#memory.mirror(this.#parameters), await this.#moments];
    const updates = state.updates + 1;
    const inPlace = { ...prefixed('weight', weights), ...prefixed('m', m), ...prefixed('v', v) };
    await (await this.#update).run(
      {
        ...inPlace,
        ...prefixed('gradient', await this.#sums!),
        scale: scalar(scale),
        step: scalar(learningRate / (1 - beta1 ** updates)),
        correction: scalar(Math.sqrt(1 - beta2 ** updates)),
        keep: scalar(1 - learningRate * weightDecay),
        one: scalar(1),
      },
      undefined,
      Object.fromEntries(Object.entries(inPlace).map(([name, tensor]) => [`new.${name}`, tensor])),
    );
    const read = [await this.#memory.read(weights), await this.#memory.read(m), await this.#memory.read(v)];
    // only now that all is here: main memory never holds half of an update
    for (const [i, into] of [this.#parameters, ...inMemory].entries()) take(into, read[i]);
    state.updates = updates;
  }

  /** Weights or moments were changed in main memory: the next use takes them from there. */
  async forget(): Promise<void> {
    await this.#memory.forget(this.#parameters);
    for (const tensors of (await this.#moments) ?? []) this.#memory.release(tensors);
    this.#moments = null;
  }

  /** The tensors are the memory's to free. */
  async dispose(): Promise<void> {
    await (await this.#norm)?.dispose();
    await (await this.#update)?.dispose();
  }
}

function take({ tensors }: Parameters, read: ReadonlyMap<string, Float32Array>): void {
  for (const [name, values] of read) tensors[name].data.set(values);
}

const inputs = (graph: Graph, prefix: string, specs: readonly TensorSpec[]): Value[] =>
  specs.map(({ name, shape }) => graph.input(`${prefix}.${name}`, 'float32', shape));

/** Output: squares [tensors], the sum of squares of each gradient. */
export function normGraph(specs: readonly TensorSpec[]): Graph {
  const graph = new Graph('gradient norm');
  const squares = inputs(graph, 'gradient', specs).map((value) =>
    reshape(reduceSumSquare(value, undefined, false), [1]),
  );
  graph.output('squares', concat(squares, 0));
  return graph;
}

/**
 * Outputs new.weight.NAME, new.m.NAME and new.v.NAME. Each input is read by one node, and none of those makes an output:
 * a result may be written over its input.
 */
export function adamwGraph(specs: readonly TensorSpec[], { beta1, beta2, epsilon }: AdamWSettings): Graph {
  const graph = new Graph('adamw');
  const [scale, step, correction, keep, one] = ['scale', 'step', 'correction', 'keep', 'one'].map((name) =>
    graph.input(name, 'float32', []),
  );
  const [weights, m, v, gradients] = ['weight', 'm', 'v', 'gradient'].map((prefix) => inputs(graph, prefix, specs));
  for (const [i, { name, shape }] of specs.entries()) {
    const g = mul(gradients[i], scale);
    const first = add(mul(m[i], beta1), mul(g, 1 - beta1));
    const second = add(mul(v[i], beta2), mul(mul(g, g), 1 - beta2));
    // only matrices decay
    const kept = mul(weights[i], shape.length > 1 ? keep : one);
    const change = div(mul(first, step), add(div(sqrt(second), correction), epsilon));
    graph.output(`new.weight.${name}`, sub(kept, change));
    graph.output(`new.m.${name}`, first);
    graph.output(`new.v.${name}`, second);
  }
  return graph;
}
