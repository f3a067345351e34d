/**
 * One trainable policy: its training graph (forward, backward), the optimizer, and scoring of given sequences. An update
 * is: pack rows into micro-batches, add up their gradients, clip, AdamW in place.
 */
import type { ProviderName } from '../../contract/providers.ts';
import { gradientsOf } from '../graph/reverse.ts';
import type { Graph } from '../graph/graph.ts';
import { add, greater, mul, neg, reduceSum, where } from '../graph/ops.ts';
import { buildSequenceGraph, headSizesOf, type SequenceOptions } from '../model/sequence-graph.ts';
import { DeviceMemory } from '../runtime/device-memory.ts';
import type { DeviceTensor } from '../runtime/device-tensor.ts';
import { makeParameters } from '../runtime/parameters.ts';
import { decoderOptions, deviceFeeds, type Policy, policyFeeds, trainable } from '../runtime/policy.ts';
import { createSession, type OnFallback, type Session, type Tensor } from '../runtime/session.ts';
import { type AdamWSettings, type AdamWState, adamwState, adamwUpdate, clipFactor, norm2 } from './adamw.ts';
import { DeviceAdamW } from './device-adamw.ts';
import { type Aggregation, type MicroBatch, packBatch, type TrainRow, tokenWeights } from './pack-batch.ts';
import { type PolicyLossOptions, policyLoss } from './policy-loss.ts';

export type TrainerSettings = AdamWSettings & {
  /** `supervised` is the plain negative log-likelihood of the trained tokens */
  objective: 'supervised' | PolicyLossOptions;
  maxGradNorm: number;
  aggregation: Aggregation;
  /** longest sequence, also the constant normalizer's length */
  maxTokens: number;
  microBatchTokens: number;
  /** keep only each layer's input for the backward pass and compute the rest again: less memory, more time */
  recompute?: boolean;
  /** with `recompute`: bytes of one part's logits, at most; the head reads a large micro-batch part by part */
  headBytes?: number;
  threads: number;
  /** who computes; the CPU unless told otherwise */
  provider?: ProviderName;
  /** what is held on the GPU, shared with a decoder of the same policy; the trainer's own if absent (WebGPU only) */
  memory?: DeviceMemory;
  /** told of nodes that a GPU leaves to the CPU; without it such a graph is refused */
  onFallback?: OnFallback;
};

export type UpdateMetrics = {
  loss: number;
  gradNorm: number;
  /** means over trained tokens, nats */
  entropy: number;
  kl: number | null;
  clipFraction: number;
  tokens: number;
  /** [rows][trained] log-probabilities under the policy before the update */
  logprobs: Float32Array[];
};

export type Scores = { logprobs: Float32Array[]; entropy: number };

const MEASURES = ['entropies', 'kl', 'clippedLow', 'clippedHigh'] as const;

export class Trainer {
  readonly policy: Policy;
  readonly settings: TrainerSettings;
  optimizer: AdamWState;
  readonly #gradient: Float32Array;
  readonly #decayed: [number, number][];
  readonly #memory: DeviceMemory | null;
  readonly #device: DeviceAdamW | null;
  /** of rows side by side and of families, opened when they are needed */
  readonly #sessions = new Map<string, Promise<Session>>();

  constructor(policy: Policy, settings: TrainerSettings) {
    this.policy = policy;
    this.settings = settings;
    const parameters = trainable(policy);
    this.optimizer = adamwState(parameters.flat.length);
    this.#gradient = new Float32Array(parameters.flat.length);
    this.#memory = settings.provider === 'webgpu' ? (settings.memory ?? new DeviceMemory()) : null;
    this.#device = this.#memory && new DeviceAdamW(this.#memory, parameters, settings);
    this.#decayed = parameters.specs
      .filter((spec) => spec.shape.length > 1)
      .map(({ name }) => {
        const { data } = parameters.tensors[name];
        const start = (data.byteOffset - parameters.flat.byteOffset) / 4;
        return [start, start + data.length];
      });
  }

  /**
   * The gradient of the loss on these rows, added up in a flat array that the next call overwrites. Rows that cannot
   * change anything (advantage 0, no KL term) count in the normalizer but are not computed: their log-probabilities are [].
   */
  async gradient(rows: readonly TrainRow[]): Promise<{ gradient: Float32Array; metrics: UpdateMetrics }> {
    const metrics = await this.#accumulate(rows);
    const any = metrics.logprobs.some(({ length }) => length > 0);
    if (this.#device && any) {
      await this.#device.gradient(makeParameters(trainable(this.policy).specs, this.#gradient));
    }
    return { gradient: this.#gradient, metrics };
  }

  /** Adds the gradient up where it is computed: in main memory, or on the GPU. */
  async #accumulate(rows: readonly TrainRow[]): Promise<UpdateMetrics> {
    const onDevice = this.#device !== null;
    const { aggregation, maxTokens, microBatchTokens } = this.settings;
    const parameters = trainable(this.policy);
    const weights = await this.#weights(this.policy);
    const sums = { loss: 0, entropies: 0, kl: 0, clippedLow: 0, clippedHigh: 0 };
    const logprobs: Float32Array[] = rows.map(() => new Float32Array(0));
    const idle = (row: TrainRow) => row.advantage === 0 && !hasKl(this.settings);
    const learned = rows.map((row) => (idle(row) ? { ...row, trained: [] } : row));
    const batches = packBatch(
      learned,
      tokenWeights(rows, aggregation, maxTokens),
      microBatchTokens,
      this.policy.config.hiddenSize,
    );
    this.#gradient.fill(0);
    for (const [i, batch] of batches.entries()) {
      const { branches } = batch;
      const session = await this.#session(`train ${branches}`, () =>
        trainingGraph(this.policy, this.settings, { accumulating: onDevice, branches }),
      );
      const sum = await this.#device?.accumulating(i === 0);
      const results = await session.run({ ...weights, ...this.#feeds(batch), ...sum?.feeds }, undefined, sum?.into);
      sums.loss += results.loss.data[0] as number;
      for (const name of MEASURES) sums[name] += (results[name]?.data[0] as number) ?? 0;
      spread(batch, learned, results.logprobs.data as Float32Array, logprobs);
      if (!onDevice) addGradients(this.#gradient, parameters.specs, results);
    }
    const tokens = Math.max(
      1,
      batches.reduce((sum, batch) => sum + batch.tokens, 0),
    );
    return {
      loss: sums.loss,
      gradNorm: this.#device && batches.length > 0 ? await this.#device.norm() : norm2(this.#gradient),
      entropy: sums.entropies / tokens,
      kl: hasKl(this.settings) ? sums.kl / tokens : null,
      clipFraction: (sums.clippedLow + sums.clippedHigh) / tokens,
      tokens,
      logprobs,
    };
  }

  #weights(policy: Policy): Promise<Record<string, Tensor | DeviceTensor>> | Record<string, Tensor> {
    return this.#memory ? deviceFeeds(this.#memory, policy) : policyFeeds(policy);
  }

  /** One optimizer update on these rows. A loss or gradient that is not finite, or a gradient of zero, leaves everything as it was. */
  async update(rows: readonly TrainRow[], learningRate: number): Promise<UpdateMetrics> {
    const metrics = await this.#accumulate(rows);
    if (!Number.isFinite(metrics.loss) || !Number.isFinite(metrics.gradNorm) || metrics.gradNorm === 0) return metrics;
    const scale = clipFactor(metrics.gradNorm, this.settings.maxGradNorm);
    if (this.#device) await this.#device.update(this.optimizer, { learningRate, scale });
    else {
      const { flat } = trainable(this.policy);
      const how = { ...this.settings, learningRate, scale, decayed: this.#decayed };
      adamwUpdate(flat, this.#gradient, this.optimizer, how);
    }
    return metrics;
  }

  /** To be told when weights or moments were changed from outside: a GPU holds copies of them. */
  async changed(): Promise<void> {
    await this.#device?.forget();
  }

  /** Log-probabilities of the trained tokens of each row under `policy` (this trainer's own unless another is given). */
  async score(rows: readonly TrainRow[], policy: Policy = this.policy): Promise<Scores> {
    const logprobs: Float32Array[] = rows.map(() => new Float32Array(0));
    let entropy = 0;
    let tokens = 0;
    for (const batch of packBatch(
      rows,
      rows.map(() => 1),
      this.settings.microBatchTokens,
      this.policy.config.hiddenSize,
    )) {
      const session = await this.#session(`score ${batch.branches}`, () =>
        scoringGraph(this.policy, this.settings, batch.branches),
      );
      const results = await session.run({ ...(await this.#weights(policy)), ...this.#feeds(batch) });
      spread(batch, rows, results.logprobs.data as Float32Array, logprobs);
      entropy += results.entropies.data[0] as number;
      tokens += batch.tokens;
    }
    return { logprobs, entropy: entropy / Math.max(1, tokens) };
  }

  #session(name: string, build: () => Graph): Promise<Session> {
    const known = this.#sessions.get(name) ?? createSession(build(), this.settings);
    this.#sessions.set(name, known);
    return known;
  }

  #feeds({ feeds, tokens }: MicroBatch): Record<string, Tensor> {
    const sizes = headSizesOf(tokens, headParts(this.policy, this.settings));
    return { ...feeds, headSizes: { dtype: 'int64', shape: [sizes.length], data: BigInt64Array.from(sizes, BigInt) } };
  }

  async dispose(): Promise<void> {
    // a session that could not be opened has said so already: the others are closed all the same
    for (const session of this.#sessions.values()) await (await session.catch(() => null))?.dispose();
    await this.#device?.dispose();
    if (this.settings.memory === undefined) await this.#memory?.dispose();
  }
}

function hasKl(settings: TrainerSettings): boolean {
  return settings.objective !== 'supervised' && settings.objective.klCoefficient > 0;
}

/** In how many parts the head reads the largest micro-batch; 1 for a small vocabulary, and on a GPU. */
function headParts({ config }: Policy, settings: TrainerSettings): number {
  const { recompute = false, microBatchTokens, maxTokens, headBytes = 2 ** 25, provider = 'cpu' } = settings;
  if (!recompute || provider !== 'cpu') return 1;
  return Math.ceil((4 * config.vocabSize * Math.max(microBatchTokens, maxTokens)) / headBytes);
}

/**
 * Where a GPU's memory cannot be held from here (CUDA, DirectML), weights that training leaves alone live inside the
 * session: they are copied to the device once, not on every run.
 */
function sequenceOptions(
  policy: Policy,
  settings: TrainerSettings,
  branches: SequenceOptions['branches'],
): SequenceOptions {
  const { maxTokens, provider = 'cpu' } = settings;
  const frozen = (provider === 'cuda' || provider === 'dml') && policy.lora !== null;
  const options = decoderOptions(policy, maxTokens, frozen, provider);
  return { ...options, branches, scatter: provider !== 'dml', headParts: headParts(policy, settings) };
}

export type TrainingGraphOptions = {
  /** fixed lengths, of rows side by side */
  lengths?: SequenceOptions['lengths'];
  accumulating?: boolean;
  /** of families, of fixed lengths where they are given */
  branches?: SequenceOptions['branches'];
};

/**
 * Outputs: loss [], logprobs [K, 1], sums of entropy, kl and clipped tokens [], and gradient.NAME of every trainable tensor,
 * with `accumulating` added to the inputs sum.NAME where the input keep [] is above 0.
 */
export function trainingGraph(
  policy: Policy,
  settings: TrainerSettings,
  { lengths, accumulating = false, branches = false }: TrainingGraphOptions = {},
): Graph {
  const fixed = lengths !== undefined || typeof branches === 'object';
  const options = { ...sequenceOptions(policy, settings, branches), lengths, ...(fixed && { headParts: 1 }) };
  const { graph, logprobs, entropies, segments } = buildSequenceGraph('train', options);
  const sum = (name: (typeof MEASURES)[number], value: Parameters<typeof reduceSum>[0]) =>
    graph.output(name, reduceSum(value, undefined, false));
  graph.output('logprobs', logprobs);
  sum('entropies', entropies);
  let loss = logprobs;
  if (settings.objective === 'supervised') {
    const weights = graph.input('tokenWeights', 'float32', logprobs.shape);
    loss = neg(reduceSum(mul(logprobs, weights), undefined, false));
  } else {
    const result = policyLoss(graph, logprobs, settings.objective, options.scatter);
    loss = result.loss;
    if (result.kl) sum('kl', result.kl);
    sum('clippedLow', result.clippedLow);
    sum('clippedHigh', result.clippedHigh);
  }
  graph.output('loss', loss);
  const inputs = new Map(graph.inputs.map((value) => [value.name, value]));
  const { specs } = trainable(policy);
  const gradients = gradientsOf(
    loss,
    specs.map(({ name }) => inputs.get(name)!),
    settings.recompute ? [...segments.layers, ...segments.head] : [],
  );
  const kept = accumulating ? greater(graph.input('keep', 'float32', []), 0) : null;
  for (const [i, { name, shape }] of specs.entries()) {
    // a sum that is not kept may hold anything, also what is no number
    const before = kept && where(kept, graph.input(`sum.${name}`, 'float32', shape), 0);
    graph.output(`gradient.${name}`, before ? add(before, gradients[i]) : gradients[i]);
  }
  return graph;
}

/** Outputs: logprobs [K, 1] and the sum of entropies []. */
function scoringGraph(policy: Policy, settings: TrainerSettings, branches: boolean): Graph {
  const { graph, logprobs, entropies } = buildSequenceGraph('score', sequenceOptions(policy, settings, branches));
  graph.output('logprobs', logprobs);
  graph.output('entropies', reduceSum(entropies, undefined, false));
  return graph;
}

/** A micro-batch's flat log-probabilities back to their rows. */
function spread(batch: MicroBatch, rows: readonly TrainRow[], flat: Float32Array, into: Float32Array[]): void {
  let offset = 0;
  for (const index of batch.rowIndices) {
    const length = rows[index].trained.length;
    into[index] = flat.slice(offset, offset + length);
    offset += length;
  }
}

function addGradients(into: Float32Array, specs: readonly { name: string }[], results: Record<string, Tensor>): void {
  let offset = 0;
  for (const { name } of specs) {
    const part = results[`gradient.${name}`].data as Float32Array;
    for (let i = 0; i < part.length; i++) into[offset + i] += part[i];
    offset += part.length;
  }
}
