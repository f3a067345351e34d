/**
 * Runs the decode graphs of a policy over a cache: tokens in, one sampled token a row out, or several by the loop of
 * decode-loop.ts. It knows neither problems nor tools. Weights are read in place on every run, so an update of the policy is
 * seen at once (on WebGPU where trainer and engine share their memory); frozen base weights may be kept prepacked inside the
 * session instead (faster below 32 rows, their size once more in memory).
 */
import type { ProviderName } from '../../contract/providers.ts';
import { assert } from '../base/assert.ts';
import { causalMask } from '../model/causal-mask.ts';
import { buildDecodeGraph } from '../model/decode-graph.ts';
import { buildDecodeLoop } from '../model/decode-loop.ts';
import { DeviceMemory } from '../runtime/device-memory.ts';
import type { DeviceTensor } from '../runtime/device-tensor.ts';
import { decoderOptions, deviceFeeds, type Policy, policyFeeds } from '../runtime/policy.ts';
import { createSession, type OnFallback, type Session, type Tensor } from '../runtime/session.ts';
import { DeviceCache } from './device-cache.ts';
import { DecodeLanes } from './decode-lanes.ts';
import { KvCache, type Placement } from './kv-cache.ts';
import { laneCount } from './lane-limits.ts';

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

/** Where rows keep what they have behind them: in main memory, or on the GPU with the weights. */
export type Cache = KvCache | DeviceCache;

/** What each row is fed, and how many draws are wanted from its last token's distribution. */
export type DecodeStep = {
  /** [B] the next tokens of each row; what is drawn for a row without any means nothing */
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

export type Draws = {
  /** [B][R]; of a chunk [B][turns], of which those after a row's queue and before its end are its own */
  tokens: number[][];
  /** [B][R] or [B][turns] log-probability under the sampled distribution, nats */
  logprobs: number[][];
};

/** What `chunk` should be: CUDA has no device tensors, so that its cache crosses from main memory in every run. */
export function usualChunk(provider: ProviderName): number {
  return provider === 'cuda' ? 16 : 1;
}

/** By decode-graph.ts, one token a row or several, or by decode-loop.ts. */
type Form = 'one' | 'several' | 'loop';

/** Caches whose memory is kept for the next: of a batch, and of its prompts. */
const MOST_USED = 2;

export class DecodeEngine {
  readonly policy: Policy;
  readonly settings: DecodeSettings;
  readonly #sessions = new Map<string, Promise<Session>>();
  readonly #causal = new Map<number, Tensor>();
  readonly #memory: DeviceMemory | null;
  readonly #mostLanes: number;
  #lanes: DecodeLanes | undefined;
  /** caches that nobody uses any more, the largest last */
  #used: KvCache[] = [];

  constructor(policy: Policy, settings: DecodeSettings) {
    this.policy = policy;
    this.settings = settings;
    this.#memory = settings.provider === 'webgpu' ? (settings.memory ?? new DeviceMemory()) : null;
    this.#mostLanes = DecodeLanes.most(policy, settings);
  }

  /** Most tokens a row decodes in one run. */
  get chunk(): number {
    return this.settings.chunk ?? 1;
  }

  newCache(rows: number): Cache {
    if (this.#memory) return new DeviceCache(rows, this.policy.config, this.#memory);
    return KvCache.empty(rows, this.policy.config, { shared: this.#mostLanes > 1, used: this.#used.pop() });
  }

  /** Takes a cache back that nobody will use again: a GPU's memory is free, of main memory the next one is made. */
  returnCache(cache: Cache): void {
    if (cache instanceof DeviceCache) cache.dispose();
    else if (this.#mostLanes === 1 || cache.place !== null)
      this.#used = [...this.#used, cache].sort((a, b) => a.bytes - b.bytes).slice(-MOST_USED);
  }

  /** Rows of a cache become copies of rows of another, which is let go. */
  async handOver(from: Cache, to: Cache, placements: readonly Placement[]): Promise<void> {
    if (from instanceof DeviceCache) {
      assert(to instanceof DeviceCache, 'two caches of one engine');
      if (placements.length > 0) await to.take(from, placements);
      from.dispose();
    } else {
      assert(to instanceof KvCache, 'two caches of one engine');
      if (placements.length > 0) to.take(from, placements);
      // one that no lane can read is what a graph gave out, and not worth keeping
      if (this.#mostLanes > 1) this.returnCache(from);
    }
  }

  /** One run over the first rows of a cache, which has the tokens behind it afterwards. */
  async run(step: DecodeStep, cache: Cache): Promise<Draws> {
    const counts = step.tokens.map((tokens) => tokens.length);
    const lanes = laneCount(counts.length, this.#mostLanes);
    if (lanes > 1 && cache instanceof KvCache && cache.place !== null) {
      this.#lanes ??= new DecodeLanes(this.policy, this.settings);
      return this.#lanes.run(step, cache, lanes);
    }
    const S = Math.max(1, ...counts);
    const { held, places, feeds, into } = await cache.prepare(counts.length, S);
    const given = { ...feeds, ...this.#stepFeeds(step, cache, S, held, places) };
    const outputs = await this.#run(S === 1 ? 'one' : 'several', step.sampling, given, into);
    cache.append(outputs, counts);
    return drawsOf(outputs, places);
  }

  /**
   * Several tokens a row in one run. How many of them are a row's own shows in what was drawn: `keep` is told, and adds them
   * to the cache.
   */
  async runChunk(chunk: DecodeChunk, cache: Cache): Promise<Draws & { keep(counts: readonly number[]): void }> {
    assert(cache instanceof KvCache, 'loops read a cache of main memory');
    const B = chunk.queues.length;
    const inOrder = [...chunk.queues.keys()];
    cache.reserve(Math.max(...chunk.budgets.map((budget, row) => cache.lengths[row] + budget)));
    const outputs = await this.#run('loop', chunk.sampling, {
      ...cache.feeds(B),
      ...this.#cacheFeeds(cache, B, inOrder, chunk.temperature),
      ...chunkFeeds(chunk),
    });
    return { ...drawsOf(outputs, inOrder), keep: (counts) => cache.append(outputs, counts) };
  }

  async dispose(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session.catch(() => null))?.dispose();
    this.#sessions.clear();
    await this.#lanes?.dispose();
    this.#lanes = undefined;
    if (this.settings.memory === undefined) await this.#memory?.dispose();
  }

  async #run(
    form: Form,
    sampling: Sampling,
    feeds: Record<string, Tensor | DeviceTensor>,
    into?: Record<string, DeviceTensor>,
  ): Promise<Record<string, Tensor>> {
    const session = await this.#session(form, sampling);
    const weights = this.#memory ? await deviceFeeds(this.#memory, this.policy) : policyFeeds(this.policy);
    return session.run({ ...weights, ...feeds }, undefined, into);
  }

  #session(form: Form, sampling: Sampling): Promise<Session> {
    const key = `${form}-${sampling}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const { frozen = false, maxTokens, threads, provider, onFallback } = this.settings;
    // runs of several tokens a row are as fast on weights as inputs: one session with a copy of its own is enough
    const prepacked = frozen && this.#memory === null && form !== 'several';
    const options = { ...decoderOptions(this.policy, maxTokens, prepacked, provider), sampling };
    const shape = { single: form === 'one', append: this.#memory !== null };
    const graph =
      form === 'loop'
        ? buildDecodeLoop(`decode-loop-${sampling}`, options)
        : buildDecodeGraph(`decode-${form}-${sampling}`, { ...options, ...shape });
    const session = createSession(graph, { threads, provider, onFallback });
    this.#sessions.set(key, session);
    return session;
  }

  /** `places`: where each row stands among the `B` of the tensors. */
  #cacheFeeds(cache: Cache, B: number, places: readonly number[], temperature: number): Record<string, Tensor> {
    const P = cache.capacity;
    const lengths = new Float32Array(B);
    for (const [row, place] of places.entries()) lengths[place] = cache.lengths[row];
    return {
      slots: { dtype: 'float32', shape: [P], data: Float32Array.from({ length: P }, (_, i) => i) },
      lengths: { dtype: 'float32', shape: [B, 1, 1, 1], data: lengths },
      inverseTemperature: { dtype: 'float32', shape: [], data: Float32Array.of(1 / temperature) },
    };
  }

  #stepFeeds(step: DecodeStep, cache: Cache, S: number, B: number, places: readonly number[]): Record<string, Tensor> {
    const ids = new BigInt64Array(B * S);
    const positions = new BigInt64Array(B * S);
    const last = BigInt64Array.from({ length: B }, (_, b) => BigInt(b * S));
    const draws = step.uniforms[0]?.length ?? 1;
    const uniforms = new Float32Array(B * draws);
    for (const [row, b] of places.entries()) {
      const tokens = step.tokens[row];
      for (let s = 0; s < S; s++) {
        ids[b * S + s] = BigInt(tokens[s] ?? 0);
        positions[b * S + s] = BigInt(Math.min(cache.lengths[row] + s, this.settings.maxTokens - 1));
      }
      last[b] = BigInt(b * S + Math.max(0, tokens.length - 1));
      uniforms.set(step.uniforms[row] ?? [], b * draws);
    }
    return {
      ...this.#cacheFeeds(cache, B, places, step.temperature),
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

/** What was drawn for the rows at these places: outputs [B, R], or of a loop [turns, B, 1]. */
function drawsOf({ tokens, logprobs }: Record<string, Tensor>, places: readonly number[]): Draws {
  const isLoop = tokens.shape.length === 3;
  const [B, draws] = isLoop ? [tokens.shape[1], tokens.shape[0]] : tokens.shape;
  const at = (place: number, draw: number) => (isLoop ? draw * B + place : place * draws + draw);
  const rows = <T>(read: (index: number) => T) =>
    places.map((place) => Array.from({ length: draws }, (_, draw) => read(at(place, draw))));
  return { tokens: rows((i) => Number(tokens.data[i])), logprobs: rows((i) => logprobs.data[i] as number) };
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
