/** What a token must not see: the number added to its scores, and the mask of tokens that come after it. */

/** Added to the scores of what is hidden; the softmax then gives it nothing. */
export const HIDDEN = -1e9;

/** [T, T] row-major: 0 on and below the diagonal, hidden above. */
export function causalMask(T: number): Float32Array {
  const mask = new Float32Array(T * T);
  for (let t = 0; t < T; t++) mask.fill(HIDDEN, t * T + t + 1, (t + 1) * T);
  return mask;
}
