/** What two lists of numbers have in common. */

/** How many of their first entries are equal, at most `limit`, which neither list may be shorter than. */
export function commonLength(a: readonly number[], b: readonly number[], limit: number): number {
  let length = 0;
  while (length < limit && a[length] === b[length]) length++;
  return length;
}
