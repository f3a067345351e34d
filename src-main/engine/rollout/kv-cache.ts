/**
 * Keys and values of the tokens that every row of the decode batch has behind it: one array a layer and kind, [rows, KV,
 * P, E]. Row b's first `lengths[b]` slots are valid, the others hold anything finite. P grows in chunks when a row would
 * overflow; rows are moved, never shared. The decode graph reads the first rows in place.
 */
import type { Tensor } from '../runtime/session.ts';

const CHUNK = 32;

export type CacheShape = { layers: number; kvHeads: number; headDim: number };

export class KvCache {
  readonly rows: number;
  readonly shape: CacheShape;
  readonly lengths: Int32Array;
  capacity = 0;
  /** keys of layer l at 2 l, values at 2 l + 1; perhaps longer than the capacity needs */
  #memory: Float32Array[];

  /** An empty cache, in the memory of one that nobody uses any more where it is given: fresh pages cost more than a run. */
  constructor(rows: number, shape: CacheShape, used?: KvCache) {
    this.rows = rows;
    this.shape = shape;
    this.lengths = new Int32Array(rows);
    this.#memory = used ? used.#memory : Array.from({ length: 2 * shape.layers }, () => new Float32Array(0));
    this.reserve(1);
  }

  /** Makes room for `length` slots a row, keeping what is there. */
  reserve(length: number): void {
    if (length <= this.capacity) return;
    const { kvHeads, headDim } = this.shape;
    const capacity = Math.ceil(length / CHUNK) * CHUNK;
    const blocks = this.rows * kvHeads;
    const [before, after] = [this.capacity * headDim, capacity * headDim];
    for (const [i, memory] of this.#memory.entries()) {
      const fits = memory.length >= blocks * after;
      const grown = fits ? memory : new Float32Array(blocks * after);
      // from the last block on: in place, none is overwritten before it has moved
      for (let block = blocks - 1; block >= 0 && before > 0; block--) {
        if (fits) grown.copyWithin(block * after, block * before, (block + 1) * before);
        else grown.set(memory.subarray(block * before, (block + 1) * before), block * after);
      }
      this.#memory[i] = grown;
    }
    this.capacity = capacity;
  }

  /** The first `rows` rows of layer `layer` as a tensor, a view: index 0 keys, 1 values. */
  view(layer: number, kind: 0 | 1, rows: number): Tensor {
    const { kvHeads, headDim } = this.shape;
    const shape = [rows, kvHeads, this.capacity, headDim];
    const data = this.#memory[2 * layer + kind].subarray(0, rows * kvHeads * this.capacity * headDim);
    return { dtype: 'float32', shape, data };
  }

  /**
   * Writes the first `count` new tokens of row `from` of a graph output [B, KV, S, E] behind row `row`'s length, for one
   * layer and kind. The caller moves the length on once all layers are written.
   */
  write(
    layer: number,
    kind: 0 | 1,
    row: number,
    fresh: Float32Array,
    from: number,
    tokens: number,
    count: number,
  ): void {
    const { kvHeads, headDim } = this.shape;
    const target = this.#memory[2 * layer + kind];
    const length = count * headDim;
    for (let head = 0; head < kvHeads; head++) {
      let source = (from * kvHeads + head) * tokens * headDim;
      let to = ((row * kvHeads + head) * this.capacity + this.lengths[row]) * headDim;
      for (const end = source + length; source < end; ) target[to++] = fresh[source++];
    }
  }

  /** Row `from` replaces row `to`. */
  move(from: number, to: number): void {
    const width = this.shape.kvHeads * this.capacity * this.shape.headDim;
    for (const memory of this.#memory) memory.copyWithin(to * width, from * width, (from + 1) * width);
    this.lengths[to] = this.lengths[from];
  }
}
