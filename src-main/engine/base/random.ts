/**
 * Counter-based random numbers: a value is a pure function of a seed and a counter, so nothing that training depends on
 * has to be carried, and the order in which tools answer cannot change a token.
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). First words for key (0, 0) and
 * counter (0, 0, 0, 0): 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
 */

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** High 32 bits of the product of two unsigned 32-bit numbers. */
function mulHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000)) >>> 0;
}

/** One Philox block: four unsigned 32-bit words from a 64-bit key and a 128-bit counter. */
export function philox(
  key0: number,
  key1: number,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
): [number, number, number, number] {
  let [x0, x1, x2, x3] = [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
  let k0 = key0 >>> 0;
  let k1 = key1 >>> 0;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, x0);
    const low0 = Math.imul(M0, x0) >>> 0;
    const high1 = mulHigh(M1, x2);
    const low1 = Math.imul(M1, x2) >>> 0;
    x0 = (high1 ^ x1 ^ k0) >>> 0;
    x1 = low1;
    x2 = (high0 ^ x3 ^ k1) >>> 0;
    x3 = low0;
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  return [x0, x1, x2, x3];
}

/** FNV-1a of a string, unsigned 32 bits: turns names into keys and counters. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** A number in (0, 1) with 32 bits, never 0 and never 1: safe for inverse distributions. */
export function uniformAt(seed: number, purpose: number, c0: number, c1: number, c2: number, c3: number): number {
  return (philox(seed, purpose, c0, c1, c2, c3)[0] + 0.5) / 0x100000000;
}

/** A stream of random numbers for generating data. Two streams with other names or seeds are independent. */
export type Random = {
  /** uniform in (0, 1) */
  next(): number;
  /** integer in [low, high], both included */
  int(low: number, high: number): number;
  pick<T>(items: readonly T[]): T;
  /** index drawn in proportion to non-negative weights */
  weighted(weights: readonly number[]): number;
  /** standard normal (Box-Muller) */
  normal(): number;
  /** a shuffled copy (Fisher-Yates) */
  shuffle<T>(items: readonly T[]): T[];
};

/** The stream named by a seed and a path of names or numbers, e.g. randomStream(7, 'arithmetic', 'train'). */
export function randomStream(seed: number, ...path: (string | number)[]): Random {
  const name = hash32(path.join('/'));
  let counter = 0;
  const next = () => {
    const block = counter++;
    return uniformAt(seed, name, block, Math.floor(block / 0x100000000), 0, 0);
  };
  const int = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    int,
    pick: (items) => items[int(0, items.length - 1)],
    weighted(weights) {
      let rest = next() * weights.reduce((sum, weight) => sum + weight, 0);
      for (let i = 0; i < weights.length - 1; i++) {
        rest -= weights[i];
        if (rest < 0) return i;
      }
      return weights.length - 1;
    },
    normal: () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()),
    shuffle(items) {
      const result = [...items];
      for (let i = result.length - 1; i > 0; i--) {
        const j = int(0, i);
        [result[i], result[j]] = [result[j], result[i]];
      }
      return result;
    },
  };
}
