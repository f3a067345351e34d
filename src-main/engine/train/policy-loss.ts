/**
 * The policy-gradient loss of the GRPO family as graph, token by token:
 *
 *   ratio = exp(clamp(log p - log p_old, -20, 20))           sequence importance: the mean log-ratio of the trajectory
 *   surrogate = -min(min(ratio, delta) A, clip(ratio, 1 - low, 1 + high) A)
 *   kl = exp(log p_ref - log p) - (log p_ref - log p) - 1    (k3), times ratio in the importance-corrected form
 *   loss = sum of weight_t (surrogate + coefficient kl)
 *
 * How tokens are added up lies in the weights, which the batch brings (pack-batch.ts). Sources: PPO's clip (1707.06347),
 * DeepSeekMath (2402.03300), DAPO (2503.14476), Dr. GRPO (2503.20783), GSPO (2507.18071); TRL 1.16 is the reference of
 * the golden values. Departure: with one update a batch the old policy is the current one, and its ratio is exactly 1.
 */
import type { Graph, Value } from '../graph/graph.ts';
import {
  add,
  and,
  cast,
  exp,
  gather,
  less,
  maximum,
  minimum,
  mul,
  neg,
  greater,
  reduceSum,
  reshape,
  scatterAdd,
  stopGradient,
  sub,
  sumByRow,
} from '../graph/ops.ts';

export type PolicyLossOptions = {
  clipLow: number;
  clipHigh: number;
  /** two-sided clip: an upper bound on the ratio in the unclipped branch, null for none */
  delta: number | null;
  klCoefficient: number;
  klForm: 'plain' | 'corrected';
  importance: 'token' | 'sequence';
  /** where log p_old comes from: an input, or the current policy itself (ratio 1) */
  old: 'input' | 'current';
};

export type PolicyLoss = {
  /** [] the weighted sum */
  loss: Value;
  /** [K, 1] per-token loss before weighting */
  tokenLoss: Value;
  /** [K, 1] */
  ratio: Value;
  /** [K, 1], null where no reference is used */
  kl: Value | null;
  /** [K, 1] 1 where the clip bound the surrogate from below / above */
  clippedLow: Value;
  clippedHigh: Value;
};

/**
 * Appends the loss for log-probabilities [K, 1]. Adds the inputs advantages, tokenWeights (both [K, 1]) and, where the
 * options need them, oldLogprobs and referenceLogprobs [K, 1], sequenceOf int64 [K], sequenceShares [K, 1] (1 / tokens of
 * its trajectory) and sequenceZeros [R, 1].
 */
export function policyLoss(graph: Graph, logprobs: Value, options: PolicyLossOptions, scatter = true): PolicyLoss {
  const { dtype } = logprobs;
  const column = (name: string) => graph.input(name, dtype, logprobs.shape);
  const advantages = column('advantages');
  const weights = column('tokenWeights');
  const old = options.old === 'input' ? column('oldLogprobs') : stopGradient(logprobs);

  const ratio = importanceRatio(graph, sub(logprobs, old), options.importance, scatter);
  const bounded = options.delta === null ? ratio : minimum(ratio, options.delta);
  const low = 1 - options.clipLow;
  const high = 1 + options.clipHigh;
  const clipped = minimum(maximum(ratio, low), high);
  const surrogate = neg(minimum(mul(bounded, advantages), mul(clipped, advantages)));

  const kl = options.klCoefficient > 0 ? k3(logprobs, column('referenceLogprobs'), ratio, options.klForm) : null;
  const tokenLoss = kl === null ? surrogate : add(surrogate, mul(kl, options.klCoefficient));
  return {
    loss: reduceSum(mul(tokenLoss, weights), undefined, false),
    tokenLoss,
    ratio,
    kl,
    clippedLow: cast(and(less(ratio, low), less(advantages, 0)), dtype),
    clippedHigh: cast(and(greater(ratio, high), greater(advantages, 0)), dtype),
  };
}

function importanceRatio(graph: Graph, logRatio: Value, importance: 'token' | 'sequence', scatter: boolean): Value {
  const clamp = (x: Value) => minimum(maximum(x, -20), 20);
  if (importance === 'token') return exp(clamp(logRatio));
  const sequenceOf = graph.input('sequenceOf', 'int64', logRatio.shape);
  const shares = graph.input('sequenceShares', logRatio.dtype, logRatio.shape);
  const zeros = graph.input('sequenceZeros', logRatio.dtype, ['R', 1]);
  if (!scatter) {
    const { sums, spread } = sumByRow(mul(logRatio, shares), sequenceOf, zeros.shape[0]);
    return spread(exp(clamp(add(zeros, sums))));
  }
  const means = scatterAdd(zeros, sequenceOf, mul(logRatio, shares), 0);
  return gather(exp(clamp(means)), reshape(sequenceOf, [logRatio.shape[0]]));
}

function k3(logprobs: Value, reference: Value, ratio: Value, form: 'plain' | 'corrected'): Value {
  const difference = sub(reference, logprobs);
  const kl = sub(sub(exp(difference), difference), 1);
  return form === 'plain' ? kl : mul(ratio, kl);
}
