/**
 * Runs the decode graph of a policy over a cache: tokens in, one sampled token a row out. It knows neither problems nor
 * tools. Weights are read in place on every run, so an update of the policy is seen at once (on WebGPU where trainer and
 * engine share their memory); frozen base weights may be
 * kept prepacked inside the session instead (faster below 32 rows, their size once more in memory).
 */
import type { ProviderName } from '../../contract/providers.ts';
import { causalMask } from '../model/causal-mask.ts';
import { buildDecodeGraph, cacheKey, cacheValue, newKey, newValue } from '../model/decode-graph.ts';
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

export type DecodeResult = {
  /** [B][R] */
  tokens: number[][];
  /** [B][R] log-probability under the sampled distribution, nats */
  logprobs: number[][];
  /** writes row `from`'s first `count` new keys and values into a cache row and moves its length on */
  keep(cache: KvCache, row: number, from: number, count: number): void;
};

export class DecodeEngine {
  readonly policy: Policy;
  readonly settings: DecodeSettings;
  readonly #sessions = new Map<Sampling, Promise<Session>>();
  readonly #causal = new Map<number, Tensor>();
  readonly #memory: DeviceMemory | null;

  constructor(policy: Policy, settings: DecodeSettings) {
    this.policy = policy;
    this.settings = settings;
    this.#memory = settings.provider === 'webgpu' ? (settings.memory ?? new DeviceMemory()) : null;
  }

  newCache(rows: number): KvCache {
    return new KvCache(rows, this.policy.config);
  }

  /** One run over the first rows of a cache, or over rows without a past where `cache` is null. */
  async run(step: DecodeStep, cache: KvCache | null): Promise<DecodeResult> {
    const B = step.tokens.length;
    const S = Math.max(...step.tokens.map((tokens) => tokens.length));
    const { layers } = this.policy.config;
    const past = cache ?? new KvCache(B, this.policy.config);
    const session = await this.#session(step.sampling);
    const weights = this.#memory ? await deviceFeeds(this.#memory, this.policy) : policyFeeds(this.policy);
    const outputs = await session.run({ ...weights, ...this.#feeds(step, past, B, S) });

    const draws = outputs.tokens.shape[1];
    const rows = <T>(read: (index: number) => T) =>
      Array.from({ length: B }, (_, b) => Array.from({ length: draws }, (_, r) => read(b * draws + r)));
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

  async dispose(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session.catch(() => null))?.dispose();
    this.#sessions.clear();
    if (this.settings.memory === undefined) await this.#memory?.dispose();
  }

  #session(sampling: Sampling): Promise<Session> {
    const known = this.#sessions.get(sampling);
    if (known) return known;
    const { frozen = false, maxTokens, threads, provider, onFallback } = this.settings;
    const graph = buildDecodeGraph(`decode-${sampling}`, {
      ...decoderOptions(this.policy, maxTokens, frozen && this.#memory === null, provider),
      sampling,
    });
    const session = createSession(graph, { threads, provider, onFallback });
    this.#sessions.set(sampling, session);
    return session;
  }

  #feeds(step: DecodeStep, cache: KvCache, B: number, S: number): Record<string, Tensor> {
    const ids = new BigInt64Array(B * S);
    const positions = new BigInt64Array(B * S);
    const last = new BigInt64Array(B);
    const lengths = new Float32Array(B);
    const draws = step.uniforms[0]?.length ?? 1;
    const uniforms = new Float32Array(B * draws);
    for (let b = 0; b < B; b++) {
      const tokens = step.tokens[b];
      const length = cache.lengths[b];
      for (let s = 0; s < S; s++) {
        ids[b * S + s] = BigInt(tokens[s] ?? 0);
        positions[b * S + s] = BigInt(Math.min(length + s, this.settings.maxTokens - 1));
      }
      last[b] = BigInt(b * S + tokens.length - 1);
      lengths[b] = length;
      uniforms.set(step.uniforms[b] ?? [], b * draws);
    }
    const P = cache.capacity;
    const feeds: Record<string, Tensor> = {
      ids: { dtype: 'int64', shape: [B, S], data: ids },
      positions: { dtype: 'int64', shape: [B, S], data: positions },
      slots: { dtype: 'float32', shape: [P], data: Float32Array.from({ length: P }, (_, i) => i) },
      lengths: { dtype: 'float32', shape: [B, 1, 1, 1], data: lengths },
      causal: this.#causalMask(S),
      parts: { dtype: 'int64', shape: [2], data: BigInt64Array.of(BigInt(P), BigInt(S)) },
      rows: { dtype: 'int64', shape: [B], data: last },
      inverseTemperature: { dtype: 'float32', shape: [], data: Float32Array.of(1 / step.temperature) },
      uniforms: { dtype: 'float32', shape: [B, draws], data: uniforms },
    };
    for (let layer = 0; layer < this.policy.config.layers; layer++) {
      feeds[cacheKey(layer)] = cache.view(layer, 0, B);
      feeds[cacheValue(layer)] = cache.view(layer, 1, B);
    }
    return feeds;
  }

  #causalMask(S: number): Tensor {
    const known = this.#causal.get(S);
    if (known) return known;
    const mask: Tensor = { dtype: 'float32', shape: [S, S], data: causalMask(S) };
    this.#causal.set(S, mask);
    return mask;
  }
}
