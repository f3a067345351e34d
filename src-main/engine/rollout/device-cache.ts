/**
 * The same as kv-cache.ts in the GPU's memory (WebGPU): keys and values never cross to main memory. The decode graph writes new
 * ones in place behind each row's length. Rows are not moved: a row says where it stands among those that are held, and the
 * tensors are laid out anew only where rows join, slots run out, or more than a quarter of the rows held have left.
 */
import { cacheKey, cacheValue, keptKey, keptValue } from '../model/decode-graph.ts';
import type { DeviceMemory } from '../runtime/device-memory.ts';
import type { DeviceTensor } from '../runtime/device-tensor.ts';
import type { Tensor } from '../runtime/session.ts';
import { type CacheShape, type Placement, type Prepared, SLOTS } from './kv-cache.ts';

/** Of the rows held, the share that must be in use. */
const LEAST_USED = 0.75;

/** Keys and values of one layout: [held, KV, capacity, E] each, keys of layer l at 2 l, values at 2 l + 1. */
type Held = { tensors: DeviceTensor[]; rows: number; capacity: number };

export class DeviceCache {
  readonly rows: number;
  readonly shape: CacheShape;
  readonly lengths: Int32Array;
  readonly #memory: DeviceMemory;
  /** where each row stands among those held */
  #places: Int32Array;
  #held: Held = { tensors: [], rows: 0, capacity: 0 };

  constructor(rows: number, shape: CacheShape, memory: DeviceMemory) {
    this.rows = rows;
    this.shape = shape;
    this.lengths = new Int32Array(rows);
    this.#memory = memory;
    this.#places = new Int32Array(rows);
  }

  get capacity(): number {
    return this.#held.capacity;
  }

  /** For a run over the first `rows` rows, with room for `tokens` more in each; all rows held are fed. */
  async prepare(rows: number, tokens: number): Promise<Prepared> {
    const needed = Math.max(...this.lengths.subarray(0, rows)) + tokens;
    const held = this.#held;
    if (needed > held.capacity || rows < LEAST_USED * held.rows)
      await this.#layOut(
        Array.from({ length: rows }, (_, row) => ({ from: held, place: this.#places[row] })),
        needed,
      );
    const feeds: Record<string, DeviceTensor> = {};
    const into: Record<string, DeviceTensor> = {};
    for (const [i, tensor] of this.#held.tensors.entries()) {
      const [fed, written] = i % 2 === 0 ? [cacheKey, keptKey] : [cacheValue, keptValue];
      feeds[fed(i >> 1)] = tensor;
      into[written(i >> 1)] = tensor;
    }
    return { held: this.#held.rows, places: [...this.#places.subarray(0, rows)], feeds, into };
  }

  /** The graph has written where it read: of row b `counts[b]` tokens count. */
  append(_outputs: unknown, counts: readonly number[]): void {
    for (const [row, count] of counts.entries()) this.lengths[row] += count;
  }

  /** Rows become copies of rows of another cache. The last of them is the last row: what was behind it is let go. */
  async take(source: DeviceCache, placements: readonly Placement[]): Promise<void> {
    const last = Math.max(...placements.map(({ row }) => row));
    const origins = Array.from({ length: last + 1 }, (_, row) => ({ from: this.#held, place: this.#places[row] }));
    for (const { row, from } of placements) {
      origins[row] = { from: source.#held, place: source.#places[from] };
      this.lengths[row] = source.lengths[from];
    }
    await this.#layOut(origins, Math.max(...this.lengths.subarray(0, last + 1)));
  }

  /** Row `from` replaces row `to`. */
  move(from: number, to: number): void {
    this.#places[to] = this.#places[from];
    this.lengths[to] = this.lengths[from];
  }

  dispose(): void {
    this.#memory.release(this.#held.tensors);
    this.#held = { tensors: [], rows: 0, capacity: 0 };
  }

  /** New tensors with a row for each origin, of this cache or of one other; a tensor at a time, so that little is there twice. */
  async #layOut(origins: readonly { from: Held; place: number }[], length: number): Promise<void> {
    const { layers, kvHeads, headDim } = this.shape;
    const before = this.#held;
    const capacity = Math.ceil(length / SLOTS) * SLOTS;
    const sources = [...new Set(origins.map(({ from }) => from))].filter(({ rows }) => rows > 0);
    const tensors: DeviceTensor[] = [];
    const index = sources.length > 0 ? this.#index(origins, sources, capacity) : null;
    for (let i = 0; i < 2 * layers; i++) {
      const made = index
        ? this.#memory.gather(
            sources.map((source) => source.tensors[i]),
            index,
          )
        : this.#memory.zeros([origins.length, kvHeads, capacity, headDim]);
      tensors.push(await made);
      if (before.rows > 0) this.#memory.release([before.tensors[i]]);
    }
    this.#held = { tensors, rows: origins.length, capacity };
    this.#places = Int32Array.from({ length: this.rows }, (_, row) => row);
  }

  /** Which slot of the sources, one after the other, each new slot is a copy of: int64 [rows, KV, capacity]. */
  #index(origins: readonly { from: Held; place: number }[], sources: readonly Held[], capacity: number): Tensor {
    const { kvHeads } = this.shape;
    const slotsOf = ({ rows, capacity: slots }: Held) => rows * kvHeads * slots;
    const data = new BigInt64Array(origins.length * kvHeads * capacity);
    let at = 0;
    for (const { from, place } of origins) {
      const start = sources.slice(0, Math.max(0, sources.indexOf(from))).reduce((sum, one) => sum + slotsOf(one), 0);
      for (let head = 0; head < kvHeads; head++) {
        for (let slot = 0; slot < capacity; slot++) {
          // slots that a source has not are those of nothing valid: any number does
          data[at++] = BigInt(start + (place * kvHeads + head) * from.capacity + Math.min(slot, from.capacity - 1));
        }
      }
    }
    return { dtype: 'int64', shape: [origins.length, kvHeads, capacity], data };
  }
}
