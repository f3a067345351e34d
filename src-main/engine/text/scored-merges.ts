/**
 * SentencePiece's BPE as a list of merges. SentencePiece joins the two neighbours whose joint token has the highest score,
 * the leftmost of several; a list of merges says the same where every pair of tokens that makes a token is a merge, in the
 * order of the scores. Where several pairs make the same token, the one with the shorter left part goes first.
 */

/** Pairs looked at for one vocabulary: ten times what the largest real one needs. */
const MOST_CUTS = 20_000_000;
/** Merges of one vocabulary, as many as other tokenizers may bring. */
const MOST_MERGES = 2 ** 22;

/** The merges, best first; null where the tokens are too many or too long to try all cuts. `joined`: which tokens may be a part or a whole. */
export function scoredMerges(
  tokens: readonly string[],
  scores: Float32Array,
  joined: readonly boolean[],
): [string, string][] | null {
  const ids = new Map(tokens.flatMap((token, id) => (joined[id] ? [[token, id] as const] : [])));
  const merges: { left: string; right: string; score: number; id: number }[] = [];
  let work = 0;
  for (const [token, id] of ids) {
    // slices cost their length, and cuts lie between characters
    work += token.length * Math.ceil(token.length / 16);
    if (work > MOST_CUTS || merges.length > MOST_MERGES) return null;
    let at = 0;
    for (const character of token) {
      at += character.length;
      const [left, right] = [token.slice(0, at), token.slice(at)];
      if (ids.has(left) && ids.has(right)) merges.push({ left, right, score: scores[id], id });
    }
  }
  // the sort is stable: within a token the cuts stay in order
  merges.sort((a, b) => b.score - a.score || a.id - b.id);
  return merges.map(({ left, right }) => [left, right]);
}
