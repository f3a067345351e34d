/** What a token must not see: the number added to its scores, the mask of tokens that come after it, and of those long before. */
import type { Value } from '../graph/graph.ts';
import { cast, cumulativeSum, greater, lessOrEqual, reduceSum, where } from '../graph/ops.ts';

/** Added to the scores of what is hidden; the softmax then gives it nothing. */
export const HIDDEN = -1e9;

/** [T, T] row-major: 0 on and below the diagonal, hidden above. */
export function causalMask(T: number): Float32Array {
  const mask = new Float32Array(T * T);
  for (let t = 0; t < T; t++) mask.fill(HIDDEN, t * T + t + 1, (t + 1) * T);
  return mask;
}

/** causal float32 [T, T] -> the same for tokens that see only the last `window`, themselves included. */
export function nearMask(causal: Value, window: number): Value {
  // counted from the right, what a token sees is how far it looks: right too where rows branch off a beginning in common
  return where(lessOrEqual(cumulativeSum(seen(causal), 1, true), window), causal, HIDDEN);
}

/** causal float32 [T, T] -> [T, 1]: how many tokens of its own run each token sees, itself included. */
export function tokensSoFar(causal: Value): Value {
  return reduceSum(seen(causal), [1]);
}

function seen(causal: Value): Value {
  return cast(greater(causal, HIDDEN / 2), 'float32');
}
