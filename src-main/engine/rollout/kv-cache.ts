/**
 * Keys and values of the tokens that every row of the decode batch has behind it: one array a layer and kind, [rows, KV,
 * P, E]. Row b's first `lengths[b]` slots are valid, the others hold anything finite. P grows in chunks when a row would
 * overflow; rows are moved, never shared. The decode graph reads the first rows in place. On a GPU: device-cache.ts.
 */
import { cacheKey, cacheValue, newKey, newValue } from '../model/decode-graph.ts';
import type { DeviceTensor } from '../runtime/device-tensor.ts';
import { bufferOf } from '../runtime/parameters.ts';
import type { Tensor } from '../runtime/session.ts';

/** Slots are added by so many at a time, so that the decode graph sees few lengths. */
export const SLOTS = 32;

/** What a run over the first rows of a cache is fed, and where each of them stands among the `held` rows of the tensors. */
export type Prepared = {
  held: number;
  places: number[];
  feeds: Record<string, Tensor | DeviceTensor>;
  /** outputs that are written in place */
  into?: Record<string, DeviceTensor>;
};

/** A row of a cache that becomes a copy of row `from` of another. */
export type Placement = { row: number; from: number };

export type CacheShape = { layers: number; kvHeads: number; headDim: number };

/** Where a cache is. Another record once it has moved. */
export type CachePlace = {
  shape: CacheShape;
  /** slots a row */
  capacity: number;
  /** [rows] valid slots */
  lengths: Int32Array;
  /** keys of layer l at 2 l, values at 2 l + 1; perhaps longer than the capacity needs */
  memory: readonly Float32Array[];
  /** whether other threads can read and write what is made for it */
  shared: boolean;
};

export class KvCache {
  #place: CachePlace;

  private constructor(place: CachePlace) {
    this.#place = place;
  }

  /** An empty cache, in the memory of one that nobody uses any more where it is given: fresh pages cost more than a run. */
  static empty(
    rows: number,
    shape: CacheShape,
    { shared = false, used }: { shared?: boolean; used?: KvCache } = {},
  ): KvCache {
    const memory = used ? used.#place.memory : Array.from({ length: 2 * shape.layers }, () => new Float32Array(0));
    const lengths = new Int32Array(bufferOf(4 * rows, shared));
    const cache = new KvCache({ shape, capacity: 0, lengths, memory, shared });
    cache.reserve(1);
    return cache;
  }

  /** The rows `from` up to `to` of a cache, in place: what is added to them is added to it. They must have room for it. */
  static part(place: CachePlace, from: number, to: number): KvCache {
    const width = place.shape.kvHeads * place.capacity * place.shape.headDim;
    const lengths = place.lengths.subarray(from, to);
    const memory = place.memory.map((all) => all.subarray(from * width, to * width));
    return new KvCache({ ...place, lengths, memory });
  }

  /** Where other threads find it; null where they cannot see it. */
  get place(): CachePlace | null {
    return this.#place.memory.every(({ buffer }) => buffer instanceof SharedArrayBuffer) ? this.#place : null;
  }

  get shape(): CacheShape {
    return this.#place.shape;
  }

  get rows(): number {
    return this.lengths.length;
  }

  /** [rows] valid slots */
  get lengths(): Int32Array {
    return this.#place.lengths;
  }

  /** slots a row */
  get capacity(): number {
    return this.#place.capacity;
  }

  /** Bytes that it keeps. */
  get bytes(): number {
    return this.#place.memory.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Makes room for `length` slots a row, keeping what is there. */
  reserve(length: number): void {
    if (length <= this.capacity) return;
    const { kvHeads, headDim } = this.shape;
    const capacity = Math.ceil(length / SLOTS) * SLOTS;
    const blocks = this.rows * kvHeads;
    const [before, after] = [this.capacity * headDim, capacity * headDim];
    const memory = this.#place.memory.map((held) => {
      const fits = held.length >= blocks * after;
      // shared memory is collected late: it grows seldom, by half at least
      const size = this.#place.shared ? Math.max(blocks * after, Math.ceil(1.5 * held.length)) : blocks * after;
      const grown = fits ? held : new Float32Array(bufferOf(4 * size, this.#place.shared));
      // from the last block on: in place, none is overwritten before it has moved
      for (let block = blocks - 1; block >= 0 && before > 0; block--) {
        if (fits) grown.copyWithin(block * after, block * before, (block + 1) * before);
        else grown.set(held.subarray(block * before, (block + 1) * before), block * after);
      }
      return grown;
    });
    this.#place = { ...this.#place, capacity, memory };
  }

  /** For a run over the first rows, which stand where they are. */
  async prepare(rows: number): Promise<Prepared> {
    return { held: rows, places: Array.from({ length: rows }, (_, row) => row), feeds: this.feeds(rows) };
  }

  /** The first `rows` rows as feeds of a decode graph, views. */
  feeds(rows: number): Record<string, Tensor> {
    const { layers, kvHeads, headDim } = this.shape;
    const shape = [rows, kvHeads, this.capacity, headDim];
    const length = rows * kvHeads * this.capacity * headDim;
    const view = (memory: Float32Array): Tensor => ({ dtype: 'float32', shape, data: memory.subarray(0, length) });
    const feeds: Record<string, Tensor> = {};
    for (let layer = 0; layer < layers; layer++) {
      feeds[cacheKey(layer)] = view(this.#place.memory[2 * layer]);
      feeds[cacheValue(layer)] = view(this.#place.memory[2 * layer + 1]);
    }
    return feeds;
  }

  /** Adds the first `counts[b]` new keys and values of row b, from the outputs of a decode graph, [B, KV, S, E] each. */
  append(outputs: Record<string, Tensor>, counts: readonly number[]): void {
    const { layers } = this.shape;
    const fresh = Array.from({ length: 2 * layers }, (_, i) => outputs[(i % 2 === 0 ? newKey : newValue)(i >> 1)]);
    const tokens = fresh[0].shape[2];
    const isEmpty = counts.length === this.rows && this.lengths.every((length) => length === 0);
    if (isEmpty && tokens > this.capacity) {
      // nothing to keep, and no room: what the graph made is the cache
      this.#place = { ...this.#place, capacity: tokens, memory: fresh.map(({ data }) => data as Float32Array) };
    } else {
      this.reserve(Math.max(...counts.map((count, row) => this.lengths[row] + count)));
      for (const [i, { data }] of fresh.entries()) {
        const from = { memory: data as Float32Array, capacity: tokens };
        for (const [row, count] of counts.entries()) this.#copy(i, from, row, row, this.lengths[row], count);
      }
    }
    for (const [row, count] of counts.entries()) this.lengths[row] += count;
  }

  /** Rows become copies of rows of another cache. */
  take(source: KvCache, placements: readonly Placement[]): void {
    this.reserve(Math.max(...placements.map(({ from }) => source.lengths[from])));
    for (const [i, memory] of source.#place.memory.entries()) {
      const { capacity } = source;
      for (const { row, from } of placements) this.#copy(i, { memory, capacity }, from, row, 0, source.lengths[from]);
    }
    for (const { row, from } of placements) this.lengths[row] = source.lengths[from];
  }

  /** Of array `i`: the first `count` slots of row `from` of another array, to row `row` from slot `at` on. */
  #copy(
    i: number,
    { memory, capacity }: { memory: Float32Array; capacity: number },
    from: number,
    row: number,
    at: number,
    count: number,
  ): void {
    const { kvHeads, headDim } = this.shape;
    const target = this.#place.memory[i];
    const length = count * headDim;
    for (let head = 0; head < kvHeads; head++) {
      let source = (from * kvHeads + head) * capacity * headDim;
      let to = ((row * kvHeads + head) * this.capacity + at) * headDim;
      for (const end = source + length; source < end; ) target[to++] = memory[source++];
    }
  }

  /** Row `from` replaces row `to`. */
  move(from: number, to: number): void {
    const width = this.shape.kvHeads * this.capacity * this.shape.headDim;
    for (const memory of this.#place.memory) memory.copyWithin(to * width, from * width, (from + 1) * width);
    this.lengths[to] = this.lengths[from];
  }
}
