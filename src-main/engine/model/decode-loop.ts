/**
 * Cached decoding of several tokens in one run (ONNX Loop): keys and values are carried from turn to turn and never leave
 * the device, so that a provider without device tensors (CUDA) copies its cache once for many tokens. A turn feeds each row
 * one token and computes what a run of decode-graph.ts with S = 1 does, with the same operators on the same shapes.
 *
 * A row is fed its queue first (tokens that were put there), then what it draws. It goes on until its turns are used up or it
 * draws one of its stop tokens; what it makes after that is garbage that the caller leaves out. The loop ends when no row
 * goes on. Carrying costs the cache twice on the device, and a copy of it a turn.
 */
import { Graph, type Value } from '../graph/graph.ts';
import {
  add,
  and,
  cast,
  concat,
  gather,
  greater,
  less,
  lessOrEqual,
  loop,
  matmul,
  minimum,
  mul,
  reduceMax,
  reshape,
  softmax,
  split,
  sub,
  transpose,
  where,
} from '../graph/ops.ts';
import { HIDDEN } from './causal-mask.ts';
import { cacheKey, cacheValue, type DecodeOptions, drawTokens, newKey, newValue, placing } from './decode-graph.ts';
import {
  attentionScores,
  type Decoder,
  decoderBlocks,
  embed,
  headLogits,
  type Heads,
  makeDecoder,
  rmsNorm,
} from './decoder.ts';

/** The caches of one layer: [B, KV, P, E] each. */
type Cache = { keys: Value; values: Value };

/**
 * Inputs: turns int64 [] (at most N), queue int64 [N, B], queued int64 [B] (how long each row's queue is, at least 1), budgets
 * int64 [B] (turns of each row), stops int64 [B, Z] (-1 for none), cache.L.key / .value float32 [B, KV, P, E] (P must hold what
 * is added), slots float32 [P] (0 .. P-1), lengths float32 [B, 1, 1, 1], inverseTemperature float32 [], uniforms float32
 * [N, B, 1] (sampled only), and weights and adapters as the options say.
 *
 * Outputs for the M turns that were made: tokens int64 [M, B, 1] and logprobs float32 [M, B, 1] drawn after each turn's
 * token, new.L.key / .value [B, KV, M, E].
 */
export function buildDecodeLoop(name: string, options: Omit<DecodeOptions, 'lengths'>): Graph {
  const graph = new Graph(name);
  const { kvHeads, headDim, layers } = options.config;
  const turns = graph.input('turns', 'int64', []);
  const queue = graph.input('queue', 'int64', ['N', 'B']);
  const queued = graph.input('queued', 'int64', ['B']);
  const budgets = graph.input('budgets', 'int64', ['B']);
  const stops = graph.input('stops', 'int64', ['B', 'Z']);
  const slots = graph.input('slots', 'float32', ['P']);
  const lengths = graph.input('lengths', 'float32', ['B', 1, 1, 1]);
  const inverseTemperature = graph.input('inverseTemperature', 'float32', []);
  const uniforms = options.sampling === 'greedy' ? null : graph.input('uniforms', 'float32', ['N', 'B', 1]);
  const cache = (key: string) => graph.input(key, 'float32', ['B', kvHeads, 'P', headDim]);
  const caches = Array.from({ length: layers }, (_, layer) => [cache(cacheKey(layer)), cache(cacheValue(layer))]);
  const going = cast(less(0, budgets), 'float32');
  const nothingDrawn = gather(queue, graph.constant('int64', 0));

  const { collected } = loop(turns, [nothingDrawn, lengths, going, ...caches.flat()], 'M', (turn, carried) => {
    const [drawn, length, alive, ...memory] = carried;
    const fed = reshape(where(less(turn, queued), gather(queue, turn), drawn), ['B', 1]);
    const positions = minimum(cast(reshape(length, ['B', 1]), 'int64'), options.maxPositions - 1);
    const decoder = makeDecoder(turn.graph, positions, options);
    const placed = placing(slots, length, 1, null);
    const next: Cache[] = [];
    const fresh: Cache[] = [];
    const stages = decoderBlocks(decoder, embed(decoder, fed), (layer, heads) => {
      const past = { keys: memory[2 * layer], values: memory[2 * layer + 1] };
      fresh.push({ keys: heads.keys, values: heads.values });
      next.push({ keys: placed(past.keys, heads.keys), values: placed(past.values, heads.values) });
      return attendTo(decoder, past, heads, seenSlots(decoder, layer, slots, length));
    });
    const logits = mul(headLogits(decoder, rmsNorm(decoder, stages.at(-1)!, 'model.norm')), inverseTemperature);
    const { tokens, logprobs } = drawTokens(logits, uniforms && gather(uniforms, turn));

    const after = add(turn, 1);
    const stopped = mul(cast(lessOrEqual(queued, after), 'float32'), isAnyOf(tokens, stops));
    const goesOn = mul(mul(alive, cast(less(after, budgets), 'float32')), sub(1, stopped));
    return {
      goOn: greater(reduceMax(goesOn, [0], false), 0.5),
      carried: [
        reshape(tokens, ['B']),
        add(length, reshape(alive, ['B', 1, 1, 1])),
        goesOn,
        ...next.flatMap(({ keys, values }) => [keys, values]),
      ],
      collected: [tokens, logprobs, ...fresh.flatMap(({ keys, values }) => [keys, values])],
    };
  });

  const [tokens, logprobs, ...memory] = collected;
  graph.output('tokens', tokens);
  graph.output('logprobs', logprobs);
  for (let layer = 0; layer < layers; layer++) {
    const byRow = (made: Value) => reshape(transpose(made, [1, 2, 0, 3, 4]), ['B', kvHeads, 'M', headDim]);
    graph.output(newKey(layer), byRow(memory[2 * layer]));
    graph.output(newValue(layer), byRow(memory[2 * layer + 1]));
  }
  return graph;
}

/** The slots that the token at the place `length` sees: bool [B, 1, 1, P]. A cached token stands at the place of its slot. */
function seenSlots(decoder: Decoder, layer: number, slots: Value, length: Value): Value {
  const valid = less(slots, length);
  if (!decoder.slidingLayers.includes(layer)) return valid;
  return and(valid, lessOrEqual(sub(length, decoder.config.slidingWindow! - 1), slots));
}

/** One new token a row attends to the valid slots and to itself. */
function attendTo(decoder: Decoder, past: Cache, { queries, keys, values }: Heads, valid: Value): Value {
  const fused = decoder.fusedMatMul;
  const hidden = where(valid, decoder.graph.constant('float32', 0), HIDDEN);
  const scores = [add(attentionScores(decoder, queries, past.keys), hidden), attentionScores(decoder, queries, keys)];
  const [toPast, toSelf] = split(softmax(concat(scores, 3)), ['P', 1], 3);
  return add(matmul(toPast, past.values, { fused }), matmul(toSelf, values, { fused }));
}

/** Whether a token [B, 1] is one of its row's [B, Z]: 1 or 0, float32 [B]. */
function isAnyOf(token: Value, some: Value): Value {
  const same = and(lessOrEqual(token, some), lessOrEqual(some, token));
  return reduceMax(cast(same, 'float32'), [-1], false);
}
