/**
 * One run of the decode graph in several lanes: the rows of a small model are shared out among threads, each with a session of
 * its own on one core. In so little work the threads of one session wait for each other more than they compute. All lanes read
 * the same weights and the same cache in place, and each adds its own rows to it.
 */
import { ParetuneError } from '../../contract/errors.ts';
import { openThread, type Thread } from '../base/thread.ts';
import { parameterCount } from '../runtime/parameters.ts';
import { keptInHalves, type Policy } from '../runtime/policy.ts';
import { DecodeEngine, type DecodeSettings, type DecodeStep, type Draws } from './decode-engine.ts';
import { type CachePlace, KvCache } from './kv-cache.ts';
import { mostLanes } from './lane-limits.ts';

/** What a lane is asked: to run its rows `from` up to `to` of a cache; `place` only where it has changed since the last time. */
export type LaneRun = { step: DecodeStep; place: CachePlace | null; from: number; to: number };
export type LaneStart = { policy: Policy; settings: DecodeSettings };

/** A thread, and the cache that it knows of. */
type Lane = { thread: Thread; knows: CachePlace | null };

export class DecodeLanes {
  readonly #start: LaneStart;
  readonly #own: DecodeEngine;
  readonly #others: Lane[] = [];

  constructor(policy: Policy, { maxTokens, frozen }: DecodeSettings) {
    this.#start = { policy, settings: { threads: 1, maxTokens, frozen } };
    this.#own = new DecodeEngine(policy, this.#start.settings);
  }

  /** The most lanes that runs of this policy can have; 1 where lanes gain nothing or threads cannot share its weights. */
  static most(policy: Policy, { threads, provider = 'cpu' }: DecodeSettings): number {
    if (provider !== 'cpu' || keptInHalves(policy)) return 1;
    const read = [policy.base, ...(policy.lora ? [policy.lora.parameters] : [])];
    const shared = read.every(({ flat }) => flat.buffer instanceof SharedArrayBuffer);
    return shared ? mostLanes(parameterCount(policy.base), threads) : 1;
  }

  /** As the run of an engine, in `count` lanes. Rejects as a lane throws, and with `engine` where its thread died. */
  async run(step: DecodeStep, cache: KvCache, count: number): Promise<Draws> {
    if (this.#others.length < count - 1) await this.#open(count - 1);
    const rows = step.tokens.length;
    cache.reserve(Math.max(...step.tokens.map((tokens, row) => cache.lengths[row] + tokens.length)));
    const place = cache.place!;
    const bounds = Array.from({ length: count + 1 }, (_, i) => Math.round((i * rows) / count));
    const parts = bounds.slice(1).map((to, i) => {
      const from = bounds[i];
      const [tokens, uniforms] = [step.tokens.slice(from, to), step.uniforms.slice(from, to)];
      return { step: { ...step, tokens, uniforms }, place, from, to };
    });
    // the other threads begin before this one is busy
    const others = parts.slice(1).map((part, i) => ask(this.#others[i], part));
    const draws = await all([runLane(this.#own, parts[0], place), ...others]);
    return { tokens: draws.flatMap(({ tokens }) => tokens), logprobs: draws.flatMap(({ logprobs }) => logprobs) };
  }

  async #open(count: number): Promise<void> {
    const ended = new ParetuneError('engine', 'A thread that decodes has ended by itself.', {
      hint: 'Resume the run; if it happens again, set threads to 1.',
    });
    const more = Array.from({ length: count - this.#others.length }, async () => {
      const thread = await openThread('decode-lane', import.meta.url, this.#start, ended);
      this.#others.push({ thread, knows: null });
    });
    await all(more);
  }

  async dispose(): Promise<void> {
    for (const { thread } of this.#others.splice(0)) await thread.close();
    await this.#own.dispose();
  }
}

/** What all of them come to; where one fails, its error, once all have ended: none is left at work. */
async function all<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

function ask(lane: Lane, run: LaneRun): Promise<Draws> {
  const place = lane.knows === run.place ? null : run.place;
  lane.knows = run.place;
  return lane.thread.ask({ ...run, place } satisfies LaneRun) as Promise<Draws>;
}

/** The rows of one lane, run and added to the cache at `place`. */
export function runLane(engine: DecodeEngine, { step, from, to }: LaneRun, place: CachePlace): Promise<Draws> {
  return engine.run(step, KvCache.part(place, from, to));
}
