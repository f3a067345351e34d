/**
 * Whole sequences through the decoder at once: log-probabilities and entropies of chosen tokens. The base of training and
 * of scoring. Only the positions whose next token counts ever meet the head, so logits of masked positions never exist.
 *
 * Rows are right-padded: with causal attention no real token sees the padding behind it.
 */
import { type Dim, sumOf } from '../graph/dims.ts';
import { Graph, type Value } from '../graph/graph.ts';
import {
  concat,
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
import type { Segment } from '../graph/reverse.ts';
import { type Branches, type BranchLengths, branches } from './branched-attention.ts';
import { nearMask } from './causal-mask.ts';
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

export type SequenceGraph = {
  graph: Graph;
  /** [parts] of [K / parts, V]: logits of the chosen positions, divided by the temperature */
  logits: Value[];
  /** [K, 1] log-probability of each target, in nats */
  logprobs: Value;
  /** [K, 1] entropy of the distribution each target was drawn from, in nats */
  entropies: Value;
  /** each layer, and each part of the head where there are several: what can be run again on the way back */
  segments: { layers: Segment[]; head: Segment[] };
};

/**
 * `headParts`: the head sees the chosen rows in so many parts, one after the other, so that the logits of all of them never
 * exist at once. `lengths` fixes the lengths instead of leaving them free: such a graph computes no lengths at run time.
 */
export type SequenceOptions = DecoderOptions & {
  headParts?: number;
  lengths?: { B: number; T: number; K: number };
  /** rows that begin alike, group by group (branched-attention.ts): or fixed lengths of them */
  branches?: boolean | (BranchLengths & { K: number });
};

/**
 * Inputs: ids int64 [B, T], positions int64 [B, T], causal float32 [T, T] (0 where visible, a large negative number
 * elsewhere), rows int64 [K] (b T + t of the token before each target), targets int64 [K, 1], inverseTemperature
 * float32 [], with several parts headSizes int64 [parts] (their lengths), and the weights and adapters as the options say.
 * With `branches` ids, positions and causal are those of branched-attention.ts, and rows count through all its tokens.
 */
export function buildSequenceGraph(name: string, options: SequenceOptions): SequenceGraph {
  const graph = new Graph(name);
  const parts = options.headParts ?? 1;
  const sizes = parts === 1 ? ['K'] : Array.from({ length: parts }, (_, part) => `K${part}`);
  const fixed = typeof options.branches === 'object' ? options.branches : options.lengths;
  const K = fixed?.K ?? sumOf(sizes);
  const { ids, positions, attend } = options.branches
    ? branches(graph, typeof options.branches === 'object' ? options.branches : { Q: 'Q', P: 'P', S: 'S', C: 'C' })
    : sideBySide(graph, options.lengths ?? { B: 'B', T: 'T' });
  const rows = graph.input('rows', 'int64', [K]);
  const targets = graph.input('targets', 'int64', [K, 1]);
  const inverseTemperature = graph.input('inverseTemperature', 'float32', []);
  const decoder = makeDecoder(graph, positions, options);
  const stages = decoderBlocks(decoder, embed(decoder, ids), attend(decoder));
  const chosen = chosenRows(decoder, stages.at(-1)!, rows);
  const headSizes = parts === 1 ? null : graph.input('headSizes', 'int64', [parts]);
  const cut = (x: Value) => (headSizes ? graph.node('Split', [x, headSizes], { axis: 0 }, '', { sizes }) : [x]);
  const targetsOf = cut(targets);
  const head = cut(chosen).map((part, i) => {
    const logits = mul(headLogits(decoder, part), inverseTemperature);
    return { from: part, logits, ...tokenStatistics(logits, targetsOf[i], decoder.scatter) };
  });
  return {
    graph,
    logits: head.map(({ logits }) => logits),
    logprobs: concat(
      head.map(({ logprobs }) => logprobs),
      0,
    ),
    entropies: concat(
      head.map(({ entropies }) => entropies),
      0,
    ),
    segments: {
      layers: stages.slice(1).map((to, layer) => ({ from: stages[layer], to: [to] })),
      head: parts === 1 ? [] : head.map(({ from, logprobs }) => ({ from, to: [logprobs] })),
    },
  };
}

/** Rows that have nothing in common: each token sees those before it in its row. */
function sideBySide(graph: Graph, { B, T }: { B: Dim; T: Dim }): Branches {
  const ids = graph.input('ids', 'int64', [B, T]);
  const positions = graph.input('positions', 'int64', [B, T]);
  const causal = graph.input('causal', 'float32', [T, T]);
  return {
    ids,
    positions,
    attend(decoder) {
      const near = decoder.slidingLayers.length === 0 ? causal : nearMask(causal, decoder.config.slidingWindow!);
      return (layer, { queries, keys, values }) => {
        const mask = decoder.slidingLayers.includes(layer) ? near : causal;
        const scores = addMask(decoder, attentionScores(decoder, queries, keys), mask);
        return matmul(softmax(scores), values, { fused: decoder.fusedMatMul });
      };
    },
  };
}

/** [parts] equal lengths of K rows, the last ones longer by what is left over. */
export function headSizesOf(rows: number, parts: number): number[] {
  const bound = (part: number) => Math.floor((part * rows) / parts);
  return Array.from({ length: parts }, (_, part) => bound(part + 1) - bound(part));
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
