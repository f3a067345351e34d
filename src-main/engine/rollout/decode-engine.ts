/**
 * Runs the decode graphs of a policy over a cache: tokens in, one sampled token a row out, or several by the loop of
 * decode-loop.ts. It knows neither problems nor tools. Weights are read in place on every run, so an update of the policy is
 * seen at once (on WebGPU where trainer and engine share their memory); frozen base weights may be kept prepacked inside the
 * session instead (faster below 32 rows, their size once more in memory).
 */
import type { ProviderName } from '../../contract/providers.ts';
import { causalMask } from '../model/causal-mask.ts';
import { buildDecodeGraph, cacheKey, cacheValue, newKey, newValue } from '../model/decode-graph.ts';
import { buildDecodeLoop } from '../model/decode-loop.ts';
import { DeviceMemory } from '../runtime/device-memory.ts';
import { decoderOptions, deviceFeeds, type Policy, policyFeeds } from '../runtime/policy.ts';
import { createSession, type OnFallback, type Session, type Tensor } from '../runtime/session.ts';
import { KvCache } from './kv-cache.ts';

export type Sampling = 'sampled' | 'greedy';

export type DecodeSettings = {
  threads: number;
  /** longest trajectory, tokens */
  maxTokens: number;
  /** keep the base weights inside the session; only where training does not change them */
  frozen?: boolean;
  /** who computes; the CPU unless told otherwise */
  provider?: ProviderName;
  /** most tokens a row decodes in one run, 1 unless told otherwise; more only where the provider has loops (CPU, CUDA) */
  chunk?: number;
  /** what is held on the GPU, shared with the trainer of the policy; the engine's own if absent (WebGPU only) */
  memory?: DeviceMemory;
  /** told of nodes that a GPU leaves to the CPU; without it such a graph is refused */
  onFallback?: OnFallback;
};

/** What each row is fed, and how many draws are wanted from its last token's distribution. */
export type DecodeStep = {
  /** [B] the next tokens of each row, at least one */
  tokens: readonly (readonly number[])[];
  /** [B][R] numbers in (0, 1); ignored when greedy */
  uniforms: readonly (readonly number[])[];
  sampling: Sampling;
  temperature: number;
};

/** Several tokens a row in one run. A row draws once its queue is fed; what it draws it is fed next. */
export type DecodeChunk = {
  /** [B] tokens put in for each row, at least one */
  queues: readonly (readonly number[])[];
  /** [B] how many tokens each row is fed at most */
  budgets: readonly number[];
  /** [B] the draws that end a row's part in this run */
  stops: readonly (readonly number[])[];
  /** a number in (0, 1) for what row `row` draws after the token of turn `turn`; not asked when greedy */
  uniform(row: number, turn: number): number;
  sampling: Sampling;
  temperature: number;
};

export type DecodeResult = {
  /** [B][R]; of a chunk [B][turns], of which those after a row's queue and before its end are its own */
  tokens: number[][];
  /** [B][R] or [B][turns] log-probability under the sampled distribution, nats */
  logprobs: number[][];
  /** writes row `from`'s first `count` new keys and values into a cache row and moves its length on */
  keep(cache: KvCache, row: number, from: number, count: number): void;
};

/** What `chunk` should be: CUDA has no device tensors, so that its cache crosses from main memory in every run. */
export function usualChunk(provider: ProviderName): number {
  return provider === 'cuda' ? 16 : 1;
}

/** One token a row or several, by decode-graph.ts or decode-loop.ts. */
type Form = 'step' | 'loop';

export class DecodeEngine {
  readonly policy: Policy;
  readonly settings: DecodeSettings;
  readonly #sessions = new Map<string, Promise<Session>>();
  readonly #causal = new Map<number, Tensor>();
  readonly #memory: DeviceMemory | null;
  #used: KvCache | undefined;

  constructor(policy: Policy, settings: DecodeSettings) {
    this.policy = policy;
    this.settings = settings;
    this.#memory = settings.provider === 'webgpu' ? (settings.memory ?? new DeviceMemory()) : null;
  }

  /** Most tokens a row decodes in one run. */
  get chunk(): number {
    return this.settings.chunk ?? 1;
  }

  newCache(rows: number): KvCache {
    const used = this.#used;
    this.#used = undefined;
    return new KvCache(rows, this.policy.config, used);
  }

  /** Takes a cache back that nobody will use again: the next one is made in its memory. */
  returnCache(cache: KvCache): void {
    this.#used = cache;
  }

  /** One run over the first rows of a cache, or over rows without a past where `cache` is null. */
  async run(step: DecodeStep, cache: KvCache | null): Promise<DecodeResult> {
    const B = step.tokens.length;
    const S = Math.max(...step.tokens.map((tokens) => tokens.length));
    const past = cache ?? new KvCache(B, this.policy.config);
    const outputs = await this.#run('step', step.sampling, {
      ...this.#cacheFeeds(past, B, step.temperature),
      ...this.#stepFeeds(step, past, B, S),
    });
    const draws = outputs.tokens.shape[1];
    return this.#result(outputs, S, draws, (b, r) => b * draws + r);
  }

  /** Several tokens a row in one run; the cache must have room for each row's budget. */
  async runChunk(chunk: DecodeChunk, cache: KvCache): Promise<DecodeResult> {
    const B = chunk.queues.length;
    const outputs = await this.#run('loop', chunk.sampling, {
      ...this.#cacheFeeds(cache, B, chunk.temperature),
      ...chunkFeeds(chunk),
    });
    const turns = outputs.tokens.shape[0];
    return this.#result(outputs, turns, turns, (b, turn) => turn * B + b);
  }

  async dispose(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session.catch(() => null))?.dispose();
    this.#sessions.clear();
    if (this.settings.memory === undefined) await this.#memory?.dispose();
  }

  async #run(form: Form, sampling: Sampling, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    const session = await this.#session(form, sampling);
    const weights = this.#memory ? await deviceFeeds(this.#memory, this.policy) : policyFeeds(this.policy);
    return session.run({ ...weights, ...feeds });
  }

  /** `S`: new slots a row; `at`: where a row's draw stands in the outputs. */
  #result(
    outputs: Record<string, Tensor>,
    S: number,
    draws: number,
    at: (b: number, r: number) => number,
  ): DecodeResult {
    const { layers } = this.policy.config;
    const B = outputs[newKey(0)].shape[0];
    const rows = <T>(read: (index: number) => T) =>
      Array.from({ length: B }, (_, b) => Array.from({ length: draws }, (_, r) => read(at(b, r))));
    return {
      tokens: rows((i) => Number(outputs.tokens.data[i])),
      logprobs: rows((i) => outputs.logprobs.data[i] as number),
      keep(target, row, from, count) {
        target.reserve(target.lengths[row] + count);
        for (let layer = 0; layer < layers; layer++) {
          target.write(layer, 0, row, outputs[newKey(layer)].data as Float32Array, from, S, count);
          target.write(layer, 1, row, outputs[newValue(layer)].data as Float32Array, from, S, count);
        }
        target.lengths[row] += count;
      },
    };
  }

  #session(form: Form, sampling: Sampling): Promise<Session> {
    const key = `${form}-${sampling}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const { frozen = false, maxTokens, threads, provider, onFallback } = this.settings;
    const options = {
      ...decoderOptions(this.policy, maxTokens, frozen && this.#memory === null, provider),
      sampling,
    };
    const graph =
      form === 'loop'
        ? buildDecodeLoop(`decode-loop-${sampling}`, options)
        : buildDecodeGraph(`decode-${sampling}`, options);
    const session = createSession(graph, { threads, provider, onFallback });
    this.#sessions.set(key, session);
    return session;
  }

  #cacheFeeds(cache: KvCache, B: number, temperature: number): Record<string, Tensor> {
    const P = cache.capacity;
    const feeds: Record<string, Tensor> = {
      slots: { dtype: 'float32', shape: [P], data: Float32Array.from({ length: P }, (_, i) => i) },
      lengths: { dtype: 'float32', shape: [B, 1, 1, 1], data: Float32Array.from(cache.lengths.subarray(0, B)) },
      inverseTemperature: { dtype: 'float32', shape: [], data: Float32Array.of(1 / temperature) },
    };
    for (let layer = 0; layer < this.policy.config.layers; layer++) {
      feeds[cacheKey(layer)] = cache.view(layer, 0, B);
      feeds[cacheValue(layer)] = cache.view(layer, 1, B);
    }
    return feeds;
  }

  #stepFeeds(step: DecodeStep, cache: KvCache, B: number, S: number): Record<string, Tensor> {
    const ids = new BigInt64Array(B * S);
    const positions = new BigInt64Array(B * S);
    const last = new BigInt64Array(B);
    const draws = step.uniforms[0]?.length ?? 1;
    const uniforms = new Float32Array(B * draws);
    for (let b = 0; b < B; b++) {
      const tokens = step.tokens[b];
      for (let s = 0; s < S; s++) {
        ids[b * S + s] = BigInt(tokens[s] ?? 0);
        positions[b * S + s] = BigInt(Math.min(cache.lengths[b] + s, this.settings.maxTokens - 1));
      }
      last[b] = BigInt(b * S + tokens.length - 1);
      uniforms.set(step.uniforms[b] ?? [], b * draws);
    }
    return {
      ids: { dtype: 'int64', shape: [B, S], data: ids },
      positions: { dtype: 'int64', shape: [B, S], data: positions },
      causal: this.#causalMask(S),
      parts: { dtype: 'int64', shape: [2], data: BigInt64Array.of(BigInt(cache.capacity), BigInt(S)) },
      rows: { dtype: 'int64', shape: [B], data: last },
      uniforms: { dtype: 'float32', shape: [B, draws], data: uniforms },
    };
  }

  #causalMask(S: number): Tensor {
    const known = this.#causal.get(S);
    if (known) return known;
    const mask: Tensor = { dtype: 'float32', shape: [S, S], data: causalMask(S) };
    this.#causal.set(S, mask);
    return mask;
  }
}

function chunkFeeds({ queues, budgets, stops, uniform, sampling }: DecodeChunk): Record<string, Tensor> {
  const B = queues.length;
  const turns = Math.max(...budgets);
  const longest = Math.max(1, ...stops.map((tokens) => tokens.length));
  const whole = (length: number, at: (i: number) => number) => BigInt64Array.from({ length }, (_, i) => BigInt(at(i)));
  const byTurn = (at: (row: number, turn: number) => number) => (i: number) => at(i % B, Math.floor(i / B));
  const drawn = byTurn((row, turn) => (sampling === 'greedy' ? 0 : uniform(row, turn)));
  return {
    turns: { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(turns)) },
    queue: {
      dtype: 'int64',
      shape: [turns, B],
      data: whole(
        turns * B,
        byTurn((row, turn) => queues[row][turn] ?? 0),
      ),
    },
    queued: { dtype: 'int64', shape: [B], data: whole(B, (row) => queues[row].length) },
    budgets: { dtype: 'int64', shape: [B], data: whole(B, (row) => budgets[row]) },
    stops: {
      dtype: 'int64',
      shape: [B, longest],
      data: whole(B * longest, (i) => stops[Math.floor(i / longest)][i % longest] ?? -1),
    },
    uniforms: {
      dtype: 'float32',
      shape: [turns, B, 1],
      data: Float32Array.from({ length: turns * B }, (_, i) => drawn(i)),
    },
  };
}
