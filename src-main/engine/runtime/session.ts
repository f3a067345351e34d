/**
 * ONNX Runtime sessions, and the only door to onnxruntime-node. A session runs on the thread that calls it and blocks it
 * until the run is over; inputs are read in place, outputs are always copied (onnxruntime-node 1.30.0, pinned).
 *
 * Fixed settings, measured: memory patterns off (same speed, 0.6 of the memory), arena on; threads spin within a run for about as
 * long as it takes to wake one up, and never between runs (others want the cores: the Python tool, the window).
 */
import * as ort from 'onnxruntime-node';
import { ParetuneError } from '../../contract/errors.ts';
import type { ProviderName } from '../../contract/providers.ts';
import { assert } from '../base/assert.ts';
import { checkGraph } from '../graph/check.ts';
import { type DType, Graph } from '../graph/graph.ts';
import { type HostIndices, type HostTensor, hostIndices } from '../graph/host-indices.ts';
import { onnxBytes } from '../graph/onnx-bytes.ts';
import { add } from '../graph/ops.ts';
import { DeviceTensor } from './device-tensor.ts';
import { type Fallback, fallbacksOf, formOf, oneNodeGraph } from './capabilities.ts';
import { explained, fallsBack, outOfMemory } from './session-errors.ts';

/** Uint16Array holds the bits of float16 numbers. */
export type TensorData = Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array | Uint16Array;

/** A dense tensor: row-major data, which may be a view into something larger. */
export type Tensor = { dtype: DType; shape: readonly number[]; data: TensorData };

export type SessionOptions = {
  /** 0 = ONNX Runtime's default, all physical cores */
  threads: number;
  /** keep a second, faster layout of constant weights (costs their size again) */
  prepack?: boolean;
  /** folder that external weights are named relative to */
  weightsFolder?: string;
  /** who computes; the CPU unless told otherwise */
  provider?: ProviderName;
  /**
   * On a GPU a graph of which any node would run on the CPU is refused, unless this is given: it is told the nodes, and
   * the session is slow instead.
   */
  onFallback?: OnFallback;
  /** WebGPU: all results stay on the device (runOnDevice) */
  onDevice?: boolean;
  /** nodes that compute the same stay apart: one result would be kept from its first use to its last */
  keepEqualNodes?: boolean;
  /** set to have the time of every node written to a file of this prefix when endProfiling is called */
  profilePrefix?: string;
};

/**
 * How long a thread looks for work before it sleeps. A small model's decoding is a quarter faster for it; on cores that other
 * programs keep busy 5 us cost it a twelfth, and ONNX Runtime's default more than half (docs/measurements.md).
 */
const SPIN_US = '5';

/** Nodes of a graph that a GPU provider leaves to the CPU. */
export type OnFallback = (graph: string, nodes: readonly Fallback[]) => void;

/**
 * Rewrites of ONNX Runtime 1.30.0 that we switch off: what they make of Transpose, Mul and MatMul stops, or leaves its
 * result unwritten, where a length is 0. A graph that wants the fused form says so (FusedMatMul).
 */
const emptyTensorBugs = 'MatmulTransposeFusion;MatMulScaleFusion;ExpandElimination';

export class Session {
  readonly #inner: ort.InferenceSession;
  readonly #inputs: Set<string>;
  readonly #name: string;
  readonly #provider: ProviderName;
  readonly #indices: HostIndices['compute'] | null;

  constructor(
    inner: ort.InferenceSession,
    name: string,
    provider: ProviderName = 'cpu',
    indices: HostIndices['compute'] | null = null,
  ) {
    this.#inner = inner;
    this.#name = name;
    this.#provider = provider;
    this.#indices = indices;
    this.#inputs = new Set(inner.inputNames);
  }

  get outputNames(): readonly string[] {
    return this.#inner.outputNames;
  }

  /**
   * Runs the graph on a complete set of inputs; `fetch` limits what is computed and copied out. Outputs named in `into` are
   * written there, which may be an input of the same run, and not copied out.
   */
  async run(
    feeds: Record<string, Tensor | DeviceTensor>,
    fetch?: readonly string[],
    into?: Readonly<Record<string, DeviceTensor>>,
  ): Promise<Record<string, Tensor>> {
    const results = await this.#compute(this.#given(feeds), fetch, into);
    const outputs: Record<string, Tensor> = {};
    for (const [name, result] of Object.entries(results)) {
      // of a tensor that was written in place there is one more handle, which nobody else lets go
      if (into?.[name]) result.dispose();
      else outputs[name] = { dtype: result.type as DType, shape: result.dims, data: result.data as TensorData };
    }
    return outputs;
  }

  /** As `run`, in a session whose results stay on the device: they are the caller's to dispose. */
  async runOnDevice(feeds: Record<string, Tensor | DeviceTensor>): Promise<Record<string, DeviceTensor>> {
    const results = await this.#compute(this.#given(feeds));
    return Object.fromEntries(Object.entries(results).map(([name, result]) => [name, new DeviceTensor(result)]));
  }

  #given(feeds: Record<string, Tensor | DeviceTensor>): Record<string, ort.Tensor> {
    const given: Record<string, ort.Tensor> = {};
    const indices = this.#indices?.(feeds as Record<string, HostTensor>) ?? {};
    for (const name of this.#inputs) {
      const tensor = feeds[name] ?? (indices[name] && { dtype: 'int64', ...indices[name] });
      assert(tensor, `input ${name} is missing: ONNX Runtime would stop, and ignores names it does not know`);
      given[name] = tensor instanceof DeviceTensor ? tensor.inner : toOrt(tensor);
    }
    return given;
  }

  async #compute(
    given: Record<string, ort.Tensor>,
    fetch: readonly string[] = this.outputNames,
    into?: Readonly<Record<string, DeviceTensor>>,
  ): Promise<ort.InferenceSession.OnnxValueMapType> {
    try {
      if (into === undefined) return await this.#inner.run(given, [...fetch]);
      return await this.#inner.run(given, Object.fromEntries(fetch.map((name) => [name, into[name]?.inner ?? null])));
    } catch (error) {
      throw explained(error as Error, this.#name, this.#provider);
    }
  }

  /** Gives the session's memory back. Running it afterwards is an error of ours. */
  async dispose(): Promise<void> {
    await this.#inner.release();
  }

  endProfiling(): void {
    this.#inner.endProfiling();
  }
}

/** The binding of 1.30.0 finds a Float16Array empty (Node 24 has them): halves are handed over as the 16 bits that they are. */
function toOrt({ dtype, shape, data }: Tensor): ort.Tensor {
  if (dtype !== 'float16') return new ort.Tensor(dtype as 'float32', data as Float32Array, shape as number[]);
  const bits = new ort.Tensor('uint16', data as Uint16Array, shape as number[]);
  return Object.defineProperty(bits, 'type', { value: 'float16' });
}

/**
 * A session for a graph, which is checked first. A graph that ONNX Runtime refuses is an error of ours, shown in full. For
 * a GPU its whole-number part is computed here before each run.
 */
export async function createSession(graph: Graph, options: SessionOptions): Promise<Session> {
  checkGraph(graph);
  if (graph.inputs.some(({ dtype }) => dtype === 'float16')) options = { ...options, keepEqualNodes: true };
  if ((options.provider ?? 'cpu') === 'cpu') return openSession(onnxBytes(graph), options, graph.name);
  const onDevice = hostIndices(graph);
  const bytes = onnxBytes(onDevice.graph, { opset: opsetOf(options.provider) });
  const { onFallback, ...strict } = options;
  let inner: ort.InferenceSession;
  try {
    inner = await openInner(bytes, strict, graph.name);
  } catch (error) {
    if (!fallsBack(error)) throw await lostOr(error as Error, graph.name, options.provider!);
    if (onFallback === undefined) throw error;
    onFallback(graph.name, await nodesOnCpu(onDevice.graph, strict));
    inner = await openInner(bytes, options, graph.name);
  }
  return new Session(inner, graph.name, options.provider, onDevice.compute);
}

/** An error of opening a session, told as the loss of the GPU where that is what it was: then it adds no numbers, either. */
async function lostOr(error: Error, name: string, provider: ProviderName): Promise<Error> {
  if (error instanceof ParetuneError && error.code === 'memory') return error;
  return (await addsTwoNumbers(provider).catch(() => false)) ? error : explained(error, name, provider);
}

/** Whether a provider adds two numbers, the CPU forbidden; throws what ONNX Runtime says. */
export async function addsTwoNumbers(provider: ProviderName): Promise<boolean> {
  const graph = new Graph(`probe of ${provider}`);
  graph.output('sum', add(graph.input('a', 'float32', [2]), graph.input('b', 'float32', [2])));
  const bytes = onnxBytes(graph, { opset: opsetOf(provider) });
  const session = await openSession(bytes, { threads: 1, provider }, graph.name);
  const tensor = (...data: number[]): Tensor => ({ dtype: 'float32', shape: [2], data: Float32Array.from(data) });
  const { sum } = await session.run({ a: tensor(1, 2), b: tensor(3, 4) });
  await session.dispose();
  return sum.data[0] === 4 && sum.data[1] === 6;
}

/** CUDA's kernel of ReduceMax was made for its version of opset 18 and is not taken for that of 20 (published-kernels.ts). */
export function opsetOf(provider: ProviderName | undefined): 19 | 21 {
  return provider === 'cuda' ? 19 : 21;
}

/** Each form of node tried alone on the provider. */
async function nodesOnCpu(graph: Graph, options: SessionOptions): Promise<Fallback[]> {
  const has = new Map<string, boolean>();
  for (const node of graph.everyNode()) {
    const form = formOf(node);
    if (has.has(form)) continue;
    const alone = oneNodeGraph(graph, node);
    const session = await openInner(onnxBytes(alone, { opset: opsetOf(options.provider) }), options, alone.name).catch(
      (error) => {
        if (fallsBack(error)) return null;
        throw error;
      },
    );
    await session?.release();
    has.set(form, session !== null);
  }
  return fallbacksOf(graph, { runtimeVersion, forms: Object.fromEntries(has) });
}

/** A session for the bytes, or the file, of an ONNX model. */
export async function openSession(model: Uint8Array | string, options: SessionOptions, name: string): Promise<Session> {
  return new Session(await openInner(model, options, name), name, options.provider);
}

async function openInner(
  model: Uint8Array | string,
  options: SessionOptions,
  name: string,
): Promise<ort.InferenceSession> {
  const { provider = 'cpu' } = options;
  const session: Record<string, unknown> = { intra_op: { spin_duration_us: SPIN_US }, force_spinning_stop: '1' };
  if (options.prepack === false) session.disable_prepacking = '1';
  if (provider !== 'cpu' && options.onFallback === undefined) session.disable_cpu_ep_fallback = '1';
  if (options.weightsFolder) session.model_external_initializers_file_folder_path = options.weightsFolder;
  const switchedOff = options.keepEqualNodes ? `${emptyTensorBugs};CommonSubexpressionElimination` : emptyTensorBugs;
  const settings: ort.InferenceSession.SessionOptions = {
    executionProviders: [provider],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    enableMemPattern: false,
    // every error is thrown as well: nothing of it belongs on the terminal
    logSeverityLevel: 4,
    extra: { session, optimization: { disable_specified_optimizers: switchedOff } },
    ...(options.onDevice ? { preferredOutputLocation: 'gpu-buffer' as const } : {}),
    ...(options.profilePrefix ? { enableProfiling: true, profileFilePrefix: options.profilePrefix } : {}),
  };
  try {
    return typeof model === 'string'
      ? await ort.InferenceSession.create(model, settings)
      : await ort.InferenceSession.create(model, settings);
  } catch (error) {
    if (provider !== 'cpu' && outOfMemory.test((error as Error).message))
      throw explained(error as Error, name, provider);
    throw new ParetuneError('engine', `ONNX Runtime refused the graph ${name}: ${(error as Error).message}`, {
      cause: error,
      hint: 'If the message speaks of memory, choose a smaller batch; otherwise please report it.',
    });
  }
}

/** The providers that the installed ONNX Runtime was built with: not yet a word on the devices of this machine. */
export function builtInProviders(): string[] {
  return ort.listSupportedBackends().map(({ name }) => name);
}

/** The version of ONNX Runtime that runs here. */
export const runtimeVersion: string = ort.env.versions?.node ?? 'unknown';
