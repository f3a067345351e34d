/**
 * An archive: the non-dominated points seen so far, in order of arrival, one of each. Plain arrays, never mutated, so that
 * it goes into a checkpoint as it is. Whether a point is above some reference is none of its concern.
 */
import { assert } from '../base/assert.ts';
import { covers } from './dominance.ts';

/** The archive after an item has come by; the same array when a member dominates or equals it. */
export function insertBy<Item>(
  archive: readonly Item[],
  item: Item,
  vectorOf: (item: Item) => readonly number[],
): readonly Item[] {
  const vector = vectorOf(item);
  if (vector.some(Number.isNaN)) assert(false, `cannot archive the point [${vector.join(', ')}]`);
  if (archive.some((member) => covers(vectorOf(member), vector))) return archive;
  return [...archive.filter((member) => !covers(vector, vectorOf(member))), item];
}

/** The archive of bare vectors after those of `vectors` [n][M] have come by, in order. */
export function insertAll(archive: readonly number[][], vectors: readonly number[][]): number[][] {
  let members = archive;
  for (const vector of vectors) members = insertBy(members, vector, (member) => member);
  return [...members];
}
