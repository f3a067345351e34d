/**
 * Cached decoding: S new tokens a row attend to P cached ones and to each other, and the next token is sampled inside the
 * graph. The cache is an input only; the graph gives back just the new keys and values, which the caller writes into its
 * cache, because every output is copied across the binding. One graph serves prefill, decoding and tool output (any S).
 *
 * Rows are ragged: a row's cache is valid up to its length, its new tokens are right-padded.
 */
import { Graph, type Value } from '../graph/graph.ts';
import {
  add,
  cast,
  concat,
  gatherElements,
  less,
  lessOrEqual,
  log,
  matmul,
  maximum,
  minimum,
  mul,
  reduceMax,
  reduceSum,
  reshape,
  softmax,
  sub,
  cumulativeSum,
  argMax,
  exp,
  where,
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
import { HIDDEN } from './causal-mask.ts';

export type DecodeOptions = DecoderOptions & {
  /** `sampled` draws by inverse CDF, `greedy` takes the largest logit */
  sampling: 'sampled' | 'greedy';
};

export const cacheKey = (layer: number) => `cache.${layer}.key`;
export const cacheValue = (layer: number) => `cache.${layer}.value`;
export const newKey = (layer: number) => `new.${layer}.key`;
export const newValue = (layer: number) => `new.${layer}.value`;

/**
 * Inputs: ids int64 [B, S], positions int64 [B, S], cache.L.key / .value float32 [B, KV, P, E], slots float32 [P]
 * (0 .. P-1), lengths float32 [B, 1, 1, 1] (valid cache slots), causal float32 [S, S], parts int64 [2] (P, S), rows int64
 * [B] (b S + last valid new token), inverseTemperature float32 [], uniforms float32 [B, R] (R draws from each row's
 * distribution; sampled only), and weights and adapters as the options say.
 *
 * Outputs: tokens int64 [B, R], logprobs float32 [B, R] under the sampled distribution, new.L.key / .value [B, KV, S, E].
 */
export function buildDecodeGraph(name: string, options: DecodeOptions): Graph {
  const graph = new Graph(name);
  const { kvHeads, headDim } = options.config;
  const ids = graph.input('ids', 'int64', ['B', 'S']);
  const positions = graph.input('positions', 'int64', ['B', 'S']);
  const slots = graph.input('slots', 'float32', ['P']);
  const lengths = graph.input('lengths', 'float32', ['B', 1, 1, 1]);
  const causal = graph.input('causal', 'float32', ['S', 'S']);
  const parts = graph.input('parts', 'int64', [2]);
  const rows = graph.input('rows', 'int64', ['B']);
  const inverseTemperature = graph.input('inverseTemperature', 'float32', []);
  const decoder = makeDecoder(graph, positions, options);
  const cached = where(less(slots, lengths), graph.constant('float32', 0), HIDDEN);

  const hidden = decoderBlocks(decoder, embed(decoder, ids), (layer, { queries, keys, values }) => {
    const pastKeys = graph.input(cacheKey(layer), 'float32', ['B', kvHeads, 'P', headDim]);
    const pastValues = graph.input(cacheValue(layer), 'float32', ['B', kvHeads, 'P', headDim]);
    graph.output(newKey(layer), keys);
    graph.output(newValue(layer), values);
    const past = add(attentionScores(decoder, queries, pastKeys), cached);
    const fresh = addMask(decoder, attentionScores(decoder, queries, keys), causal);
    const shares = softmax(concat([past, fresh], 3));
    const [toPast, toFresh] = graph.node('Split', [shares, parts], { axis: 3 }, '', { sizes: ['P', 'S'] });
    return add(matmul(toPast, pastValues, { fused: decoder.fused }), matmul(toFresh, values, { fused: decoder.fused }));
  });
  const logits = mul(headLogits(decoder, hidden, rows), inverseTemperature);
  const { tokens, logprobs } =
    options.sampling === 'greedy'
      ? greedyTokens(logits)
      : sampleTokens(logits, graph.input('uniforms', 'float32', ['B', 'R']));
  graph.output('tokens', tokens);
  graph.output('logprobs', logprobs);
  return graph;
}

function greedyTokens(logits: Value): { tokens: Value; logprobs: Value } {
  const tokens = argMax(logits, -1);
  const shifted = sub(logits, reduceMax(logits, [-1]));
  const logSum = log(reduceSum(exp(shifted), [-1]));
  return { tokens, logprobs: sub(gatherElements(shifted, tokens, 1), logSum) };
}

/**
 * Inverse CDF: the token is the number of cumulative odds at or below u times their total. Only tokens with positive odds
 * can be drawn. logits [B, V], uniforms in (0, 1) [B, R] -> [B, R].
 */
export function sampleTokens(logits: Value, uniforms: Value): { tokens: Value; logprobs: Value } {
  const { graph } = logits;
  const [rows, vocabulary] = logits.shape;
  const draws = uniforms.shape[1];
  const shifted = sub(logits, reduceMax(logits, [-1]));
  const cumulative = cumulativeSum(exp(shifted), 1);
  const total = reduceMax(cumulative, [-1]);
  const below = lessOrEqual(
    reshape(cumulative, [rows, 1, vocabulary]),
    reshape(mul(uniforms, total), [rows, draws, 1]),
  );
  const count = reduceSum(cast(below, 'float32'), [-1], false);
  const last = graph.constant('float32', (vocabulary as number) - 1);
  const tokens = cast(maximum(minimum(count, last), 0), 'int64');
  return { tokens, logprobs: sub(gatherElements(shifted, tokens, 1), log(total)) };
}
