/**
 * The text of a trajectory that can be searched, and the query for what a user typed. Words are runs of letters and
 * digits, quoted in the query, so that nothing a user types is an operator or a syntax error.
 */

/** Characters of one trajectory that are searched: a flood of tool output must not flood the index. */
const limit = 8192;

/** One search entry from the prompt, the answer and the tool calls of a trajectory. */
export function searchText(texts: readonly string[]): string {
  return texts.join('\n').slice(0, limit);
}

/**
 * An FTS5 query that finds entries with all words of `typed`, each as the beginning of a word; null where it has none.
 * `isGap` says which letters the index takes for a gap: SQLite's Unicode is older than JavaScript's, and the index, which
 * keeps no positions, refuses a word that falls into two.
 */
export function searchQuery(typed: string, isGap: (character: string) => boolean): string | null {
  const spaced = Array.from(typed.normalize('NFC'), (character) =>
    character > '\x7f' && isGap(character) ? ' ' : character,
  );
  const words = spaced.join('').match(/[\p{L}\p{N}]+/gu);
  return words === null ? null : words.map((word) => `"${word}"*`).join(' AND ');
}
