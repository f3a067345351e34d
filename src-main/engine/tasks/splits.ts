/**
 * Who goes in which split, and drawing without repetition. A split is a pure function of the problem's own text, so it
 * does not move when problems are added, dropped or drawn in another order.
 */
import { crc32 } from 'node:zlib';
import type { Split } from '../../contract/records.ts';
import type { Random } from '../base/random.ts';

/** Parts of train, selection and report, e.g. [8, 1, 1] for 80 / 10 / 10 %. */
export type SplitParts = readonly [train: number, selection: number, report: number];

/** The split of a key: CRC-32 (zlib's) of its UTF-8 bytes, modulo the sum of the parts. */
export function splitOf(key: string, parts: SplitParts): Split {
  const bucket = crc32(key) % (parts[0] + parts[1] + parts[2]);
  if (bucket < parts[0]) return 'train';
  return bucket < parts[0] + parts[1] ? 'selection' : 'report';
}

/** Every integer in [0, size) once, in random order, with memory for what was drawn only (Fisher-Yates over a sparse array). */
export function* permutation(size: number, random: Random): Generator<number, void> {
  const moved = new Map<number, number>();
  for (let last = size - 1; last >= 0; last--) {
    const i = random.int(0, last);
    yield moved.get(i) ?? i;
    moved.set(i, moved.get(last) ?? last);
    moved.delete(last);
  }
}

/** A stream of items that are all different, and how often to draw from it. */
export type WeightedSource<T> = { weight: number; items: Iterator<T, void> };

/** `count` items drawn from sources by weight; a source that ran out gets weight 0, so fewer come when all have. */
export function drawDistinct<T>(sources: readonly WeightedSource<T>[], count: number, random: Random): T[] {
  const weights = sources.map((source) => source.weight);
  const drawn: T[] = [];
  while (drawn.length < count && weights.some((weight) => weight > 0)) {
    const i = random.weighted(weights);
    const next = sources[i].items.next();
    if (next.done) weights[i] = 0;
    else drawn.push(next.value);
  }
  return drawn;
}
