/**
 * Whole sequences through the decoder at once: log-probabilities and entropies of chosen tokens. The base of training and
 * of scoring. Only the positions whose next token counts ever meet the head, so logits of masked positions never exist.
 *
 * Rows are right-padded: with causal attention no real token sees the padding behind it.
 */
import { Graph, type Value } from '../graph/graph.ts';
import {
  div,
  exp,
  gatherElements,
  log,
  matmul,
  mul,
  pickColumns,
  reduceMax,
  reduceSum,
  softmax,
  stopGradient,
  sub,
} from '../graph/ops.ts';
import {
  addMask,
  attentionScores,
  type DecoderOptions,
  decoderBlocks,
  embed,
  headLogits,
  makeDecoder,
} from './decoder.ts';

export type SequenceGraph = {
  graph: Graph;
  /** [K, V] logits of the chosen positions, divided by the temperature */
  logits: Value;
  /** [K, 1] log-probability of each target, in nats */
  logprobs: Value;
  /** [K, 1] entropy of the distribution each target was drawn from, in nats */
  entropies: Value;
};

/** `lengths` fixes them instead of leaving them free: such a graph computes no lengths at run time. */
export type SequenceOptions = DecoderOptions & { lengths?: { B: number; T: number; K: number } };

/**
 * Inputs: ids int64 [B, T], positions int64 [B, T], causal float32 [T, T] (0 where visible, a large negative number
 * elsewhere), rows int64 [K] (b T + t of the token before each target), targets int64 [K, 1], inverseTemperature
 * float32 [], and the weights and adapters as the options say.
 */
export function buildSequenceGraph(name: string, options: SequenceOptions): SequenceGraph {
  const graph = new Graph(name);
  const { B, T, K } = options.lengths ?? { B: 'B', T: 'T', K: 'K' };
  const ids = graph.input('ids', 'int64', [B, T]);
  const positions = graph.input('positions', 'int64', [B, T]);
  const causal = graph.input('causal', 'float32', [T, T]);
  const rows = graph.input('rows', 'int64', [K]);
  const targets = graph.input('targets', 'int64', [K, 1]);
  const inverseTemperature = graph.input('inverseTemperature', 'float32', []);
  const decoder = makeDecoder(graph, positions, options);

  const hidden = decoderBlocks(decoder, embed(decoder, ids), (_, { queries, keys, values }) => {
    const scores = addMask(decoder, attentionScores(decoder, queries, keys), causal);
    return matmul(softmax(scores), values, { fused: decoder.fusedMatMul });
  });
  const logits = mul(headLogits(decoder, hidden, rows), inverseTemperature);
  return { graph, logits, ...tokenStatistics(logits, targets, decoder.scatter) };
}

/** log p(target) = z_target - logsumexp(z), and the entropy logsumexp(z) - sum(p z). The shift by the maximum carries no gradient. */
export function tokenStatistics(logits: Value, targets: Value, scatter = true): { logprobs: Value; entropies: Value } {
  const shifted = sub(logits, stopGradient(reduceMax(logits, [-1])));
  const odds = exp(shifted);
  const sum = reduceSum(odds, [-1]);
  const logSum = log(sum);
  const logprobs = sub(scatter ? gatherElements(shifted, targets, 1) : pickColumns(shifted, targets), logSum);
  const meanLogit = div(reduceSum(mul(odds, shifted), [-1]), sum);
  return { logprobs, entropies: sub(logSum, meanLogit) };
}
