/**
 * Cached decoding: S new tokens a row attend to P cached ones and to each other, and the next token is sampled inside the
 * graph. The cache is an input only; the graph gives back just the new keys and values, which the caller writes into its
 * cache, because every output is copied across the binding. One graph serves prefill, decoding and tool output (any S).
 *
 * Rows are ragged: a row's cache is valid up to its length, its new tokens are right-padded.
 */
import type { Dim } from '../graph/dims.ts';
import { Graph, type Value } from '../graph/graph.ts';
import {
  add,
  and,
  cast,
  concat,
  expand,
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
  chosenRows,
  type DecoderOptions,
  decoderBlocks,
  embed,
  headLogits,
  makeDecoder,
} from './decoder.ts';
import { HIDDEN, nearMask, tokensSoFar } from './causal-mask.ts';

export type DecodeOptions = DecoderOptions & {
  /** `sampled` draws by inverse CDF, `greedy` takes the largest logit */
  sampling: 'sampled' | 'greedy';
  /** fixed lengths instead of free ones: such a graph computes no lengths at run time */
  lengths?: { B: number; S: number; P: number; R: number };
  /** one new token a row (S = 1), which takes fewer nodes */
  single?: boolean;
  /** gives back the whole cache with the new keys and values in it, for a caller that lets it be written in place (a GPU's memory) */
  append?: boolean;
};

export const cacheKey = (layer: number) => `cache.${layer}.key`;
export const cacheValue = (layer: number) => `cache.${layer}.value`;
export const newKey = (layer: number) => `new.${layer}.key`;
export const newValue = (layer: number) => `new.${layer}.value`;
export const keptKey = (layer: number) => `kept.${layer}.key`;
export const keptValue = (layer: number) => `kept.${layer}.value`;

/**
 * Inputs: ids int64 [B, S], positions int64 [B, S], cache.L.key / .value float32 [B, KV, P, E], slots float32 [P]
 * (0 .. P-1), lengths float32 [B, 1, 1, 1] (valid cache slots), causal float32 [S, S], parts int64 [2] (P, S), rows int64
 * [B] (b S + last valid new token), inverseTemperature float32 [], uniforms float32 [B, R] (R draws from each row's
 * distribution; sampled only), and weights and adapters as the options say.
 *
 * Outputs: tokens int64 [B, R], logprobs float32 [B, R] under the sampled distribution, new.L.key / .value [B, KV, S, E], or
 * to `append` kept.L.key / .value [B, KV, P, E], which may be written where cache.L.key / .value are read: of slots that are
 * valid they are the same, and no other slot counts.
 */
export function buildDecodeGraph(name: string, options: DecodeOptions): Graph {
  const graph = new Graph(name);
  const { kvHeads, headDim } = options.config;
  const { B, S, P, R } = options.lengths ?? { B: 'B', S: options.single ? 1 : 'S', P: 'P', R: 'R' };
  const ids = graph.input('ids', 'int64', [B, S]);
  const positions = graph.input('positions', 'int64', [B, S]);
  const slots = graph.input('slots', 'float32', [P]);
  const lengths = graph.input('lengths', 'float32', [B, 1, 1, 1]);
  const causal = graph.input('causal', 'float32', [S, S]);
  const parts = options.lengths ? graph.shapeTensor([P, S]) : graph.input('parts', 'int64', [2]);
  const rows = graph.input('rows', 'int64', [B]);
  const inverseTemperature = graph.input('inverseTemperature', 'float32', []);
  const decoder = makeDecoder(graph, positions, options);
  const fused = decoder.fusedMatMul;
  const zero = graph.constant('float32', 0);
  const valid = less(slots, lengths);
  const cached = where(valid, zero, HIDDEN);
  const { slidingWindow } = options.config;
  const slides = (layer: number) => decoder.slidingLayers.includes(layer);
  let nearCached = cached;
  let near = causal;
  if (decoder.slidingLayers.length > 0) {
    // the first place that each new token still sees, [B, 1, S, 1]; a cached token stands at the place of its slot
    const first = sub(add(lengths, tokensSoFar(causal)), slidingWindow!);
    nearCached = where(and(valid, lessOrEqual(first, slots)), zero, HIDDEN);
    near = nearMask(causal, slidingWindow!);
  }

  const placed = options.append && placing(slots, lengths, S, options.single ? null : tokensSoFar(causal));

  const stages = decoderBlocks(decoder, embed(decoder, ids), (layer, { queries, keys, values }) => {
    const pastKeys = graph.input(cacheKey(layer), 'float32', [B, kvHeads, P, headDim]);
    const pastValues = graph.input(cacheValue(layer), 'float32', [B, kvHeads, P, headDim]);
    if (placed) {
      graph.output(keptKey(layer), placed(pastKeys, keys));
      graph.output(keptValue(layer), placed(pastValues, values));
    } else {
      graph.output(newKey(layer), keys);
      graph.output(newValue(layer), values);
    }
    const pastScores = attentionScores(decoder, queries, pastKeys);
    const past = slides(layer) ? addMask(decoder, pastScores, nearCached) : add(pastScores, cached);
    const ownScores = attentionScores(decoder, queries, keys);
    const fresh = options.single ? ownScores : addMask(decoder, ownScores, slides(layer) ? near : causal);
    const shares = softmax(concat([past, fresh], 3));
    const [toPast, toFresh] = graph.node('Split', [shares, parts], { axis: 3 }, '', { sizes: [P, S] });
    return add(matmul(toPast, pastValues, { fused }), matmul(toFresh, values, { fused }));
  });
  const logits = mul(headLogits(decoder, chosenRows(decoder, stages.at(-1)!, rows)), inverseTemperature);
  const uniforms = options.sampling === 'greedy' ? null : graph.input('uniforms', 'float32', [B, R]);
  const { tokens, logprobs } = drawTokens(logits, uniforms);
  graph.output('tokens', tokens);
  graph.output('logprobs', logprobs);
  return graph;
}

/**
 * Puts new keys or values behind each row's length: (past [B, KV, P, E], fresh [B, KV, S, E]) -> [B, KV, P, E]. One token fills
 * all slots after the valid ones. `soFar` float32 [S, 1] (1 .. S) is for many: each slot takes the token that stands there.
 */
export function placing(
  slots: Value,
  lengths: Value,
  tokens: Dim,
  soFar: Value | null,
): (past: Value, fresh: Value) => Value {
  const places = reshape(slots, [slots.shape[0], 1]);
  const kept = less(places, lengths);
  if (soFar === null) return (past, fresh) => where(kept, past, fresh);
  // [B, 1, P, 1] against [1, S]: one where a slot is that of a token
  const token = add(sub(places, lengths), 1);
  const others = reshape(soFar, [1, tokens]);
  const chosen = cast(and(lessOrEqual(token, others), lessOrEqual(others, token)), 'float32');
  return (past, fresh) => where(kept, past, matmul(chosen, fresh));
}

/** One token for each of the uniforms [B, R], or the likeliest [B, 1] without them, and its log-probability. */
export function drawTokens(logits: Value, uniforms: Value | null): { tokens: Value; logprobs: Value } {
  return uniforms === null ? greedyTokens(logits) : sampleTokens(logits, uniforms);
}

function greedyTokens(logits: Value): { tokens: Value; logprobs: Value } {
  const tokens = argMax(logits, -1);
  const shifted = sub(logits, reduceMax(logits, [-1]));
  const logSum = log(reduceSum(exp(shifted), [-1]));
  return { tokens, logprobs: sub(gatherElements(shifted, tokens, 1), logSum) };
}

/** From this vocabulary on, sampling looks for the block of tokens first: a running sum over all of them is one thread's work. */
const MANY_TOKENS = 8192;

/**
 * Inverse CDF: the token is the number of cumulative odds at or below u times their total. Only tokens with positive odds
 * can be drawn. logits [B, V], uniforms in (0, 1) [B, R] -> [B, R].
 */
export function sampleTokens(logits: Value, uniforms: Value): { tokens: Value; logprobs: Value } {
  const shifted = sub(logits, reduceMax(logits, [-1]));
  const odds = exp(shifted);
  const width = blockWidth(logits.shape[1] as number);
  const { index, total } = width === 1 ? drawOne(odds, uniforms) : drawByBlock(odds, uniforms, width);
  const tokens = cast(index, 'int64');
  return { tokens, logprobs: sub(gatherElements(shifted, tokens, 1), log(total)) };
}

/** The divisor of a large vocabulary nearest to its root, 1 where there is none between 16 and 2048 or no need of one. */
export function blockWidth(vocabulary: number): number {
  if (vocabulary < MANY_TOKENS) return 1;
  const root = Math.sqrt(vocabulary);
  let best = 1;
  for (let width = 16; width <= 2048; width++) {
    if (vocabulary % width === 0 && Math.abs(width - root) < Math.abs(best - root)) best = width;
  }
  return best;
}

/** odds [B, V], uniforms [B, R] -> index float [B, R], total [B, 1]. */
function drawOne(odds: Value, uniforms: Value): { index: Value; total: Value } {
  const cumulative = cumulativeSum(odds, 1);
  const total = reduceMax(cumulative, [-1]);
  return { index: countUpTo(oneForAll(cumulative), mul(uniforms, total)), total };
}

/** The same draw in two: the block that holds it, then the token in it. What rounding moves past a block's end stays in it. */
function drawByBlock(odds: Value, uniforms: Value, width: number): { index: Value; total: Value } {
  const [rows, vocabulary] = odds.shape;
  const draws = uniforms.shape[1];
  const blocks = reshape(odds, [rows, (vocabulary as number) / width, width]);
  const sums = reduceSum(blocks, [-1], false);
  const upTo = cumulativeSum(sums, 1);
  const total = reduceMax(upTo, [-1]);
  const target = mul(uniforms, total);
  const block = countUpTo(oneForAll(upTo), target);
  const chosen = cast(block, 'int64');
  const below = gatherElements(sub(upTo, sums), chosen, 1);
  // spread out as floats: GPUs do not move whole numbers of 64 bits
  const everyToken = cast(expand(reshape(block, [rows, draws, 1]), [rows, draws, width]), 'int64');
  const within = cumulativeSum(gatherElements(blocks, everyToken, 1), 2);
  const end = reshape(reduceMax(within, [-1]), [rows, draws]);
  const rest = maximum(minimum(sub(target, below), mul(end, 1 - 2 ** -22)), 0);
  return { index: add(mul(block, width), countUpTo(within, rest)), total };
}

/** [B, N] -> [B, 1, N] */
function oneForAll(cumulative: Value): Value {
  return reshape(cumulative, [cumulative.shape[0], 1, cumulative.shape[1]]);
}

/** How many of the N cumulative odds [B, 1 or R, N] of each draw are at or below its bound [B, R], at most N - 1: [B, R]. */
function countUpTo(cumulative: Value, bounds: Value): Value {
  const below = lessOrEqual(cumulative, reshape(bounds, [...bounds.shape, 1]));
  const last = (cumulative.shape[2] as number) - 1;
  return minimum(reduceSum(cast(below, 'float32'), [-1], false), last);
}
