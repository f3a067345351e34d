/**
 * The decoder in the form that other runtimes expect: standard operators, Hugging Face's names, keys and values grown by
 * Concat. Positions come from the attention mask, so left- and right-padded batches are both right and no position_ids are
 * asked for.
 */
import { Graph, type Value } from '../graph/graph.ts';
import {
  and,
  concat,
  cumulativeSum,
  equal,
  gather,
  less,
  lessOrEqual,
  matmul,
  maximum,
  range,
  reshape,
  softmax,
  sub,
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
import { HIDDEN } from './causal-mask.ts';

/**
 * Inputs: input_ids int64 [B, S], attention_mask int64 [B, P + S] (1 where a token counts), past_key_values.L.key / .value
 * float32 [B, KV, P, E]. Outputs: logits float32 [B, S, V], present.L.key / .value float32 [B, KV, P + S, E].
 */
export function buildExportGraph(options: DecoderOptions): Graph {
  const graph = new Graph('decoder');
  const { kvHeads, headDim, layers, slidingWindow, vocabSize } = options.config;
  const total = 'P+S';
  const ids = graph.input('input_ids', 'int64', ['B', 'S']);
  const mask = graph.input('attention_mask', 'int64', ['B', total]);
  const past = Array.from({ length: layers }, (_, layer) => ({
    keys: graph.input(`past_key_values.${layer}.key`, 'float32', ['B', kvHeads, 'P', headDim]),
    values: graph.input(`past_key_values.${layer}.value`, 'float32', ['B', kvHeads, 'P', headDim]),
  }));

  const end = graph.dimension(total);
  const fresh = range(graph.dimension('P'), end, 'S');
  const seen = maximum(sub(cumulativeSum(mask, 1), 1), 0);
  const positions = gather(seen, fresh, 1);
  const decoder = makeDecoder(graph, positions, { ...options, fused: false });

  // token k is visible to the new token at place q if k <= q and k counts
  const places = reshape(range(graph.constant('int64', [0]), end, total), [1, total]);
  const before = reshape(lessOrEqual(places, reshape(fresh, ['S', 1])), [1, 1, 'S', total]);
  const counts = reshape(equal(mask, 1), ['B', 1, 1, total]);
  const visible = and(before, counts);
  const hidden = (shown: Value) => where(shown, graph.constant('float32', 0), HIDDEN);
  const all = hidden(visible);
  let near = all;
  if (decoder.slidingLayers.length > 0) {
    const distance = sub(reshape(positions, ['B', 1, 'S', 1]), reshape(seen, ['B', 1, 1, total]));
    near = hidden(and(visible, less(distance, slidingWindow!)));
  }

  const stages = decoderBlocks(decoder, embed(decoder, ids), (layer, { queries, keys, values }) => {
    const allKeys = concat([past[layer].keys, keys], 2);
    const allValues = concat([past[layer].values, values], 2);
    graph.output(`present.${layer}.key`, allKeys);
    graph.output(`present.${layer}.value`, allValues);
    const layerMask = decoder.slidingLayers.includes(layer) ? near : all;
    const shares = softmax(addMask(decoder, attentionScores(decoder, queries, allKeys), layerMask));
    return matmul(shares, allValues);
  });
  const rows = range(graph.constant('int64', [0]), graph.dimension('B*S'), 'B*S');
  graph.output(
    'logits',
    reshape(headLogits(decoder, chosenRows(decoder, stages.at(-1)!, rows)), ['B', 'S', vocabSize]),
  );
  return graph;
}
