/**
 * Attention of trajectories that begin alike: a group's beginning is computed once, and what its rows have of their own looks
 * at it and at itself. The scores of a row are two pieces, so that no token is ever held against another that it does not see
 * (a mask over all of them would grow with the square of a group's tokens). Gradients follow from the operators.
 *
 * Letters, beside those of decoder.ts: Q groups, P tokens of the longest beginning, S rows of the largest group, C tokens of the
 * longest row's own part. Tokens lie one after the other: [Q, P] beginnings, then [Q, S, C] own parts; all are right-padded.
 */
import { type Dim, productOf } from '../graph/dims.ts';
import type { Graph, Value } from '../graph/graph.ts';
import {
  add,
  and,
  concat,
  less,
  lessOrEqual,
  matmul,
  reshape,
  softmax,
  split,
  sub,
  transpose,
  where,
} from '../graph/ops.ts';
import { HIDDEN, nearMask, tokensSoFar } from './causal-mask.ts';
import { type Attend, attentionScores, type Decoder } from './decoder.ts';

export type BranchLengths = { Q: Dim; P: Dim; S: Dim; C: Dim };

export type Branches = {
  /** ids and positions of all tokens, int64 [Q P + Q S C, 1]: to the rest of the decoder each is a row of its own */
  ids: Value;
  positions: Value;
  attend(decoder: Decoder): Attend;
};

/**
 * Adds the inputs prefixIds, prefixPositions int64 [Q, P], ids, positions int64 [Q, S, C], prefixCausal float32 [P, P], causal
 * float32 [C, C] (0 where visible), slots float32 [P] (0 .. P-1) and prefixLengths float32 [Q, 1, 1, 1, 1, 1].
 */
export function branches(graph: Graph, { Q, P, S, C }: BranchLengths): Branches {
  const tokens = [productOf([Q, P]), productOf([Q, S, C])];
  const inRow = (kind: string) => {
    const [beginning, own] = kind === 'ids' ? ['prefixIds', 'ids'] : ['prefixPositions', 'positions'];
    const parts = [graph.input(beginning, 'int64', [Q, P]), graph.input(own, 'int64', [Q, S, C])];
    return concat(
      parts.map((part, i) => reshape(part, [tokens[i], 1])),
      0,
    );
  };
  const ids = inRow('ids');
  const positions = inRow('positions');
  const prefixCausal = graph.input('prefixCausal', 'float32', [P, P]);
  const causal = graph.input('causal', 'float32', [C, C]);
  const slots = graph.input('slots', 'float32', [P]);
  const lengths = graph.input('prefixLengths', 'float32', [Q, 1, 1, 1, 1, 1]);

  return {
    ids,
    positions,
    attend(decoder) {
      const { heads, kvHeads, headDim, slidingWindow } = decoder.config;
      const groups = heads / kvHeads;
      const fused = decoder.fusedMatMul;
      const visible = less(slots, lengths);
      const zero = graph.constant('float32', 0);
      const masks = (slides: boolean) => {
        if (!slides) return { prefix: prefixCausal, own: causal, past: where(visible, zero, HIDDEN) };
        // the place of a row's c-th own token is length + c: [Q, 1, 1, 1, C, 1]
        const first = sub(add(lengths, tokensSoFar(causal)), slidingWindow!);
        return {
          prefix: nearMask(prefixCausal, slidingWindow!),
          own: nearMask(causal, slidingWindow!),
          past: where(and(visible, lessOrEqual(first, slots)), zero, HIDDEN),
        };
      };
      const far = masks(false);
      const near = decoder.slidingLayers.length > 0 ? masks(true) : far;
      /** [Q P or Q S C, ..] -> [Q, ..] with the heads in front of the tokens */
      const apart = (x: Value, shape: Dim[], perm: number[]) => transpose(reshape(x, shape), perm);
      const folded = (length: Dim) => [Q, kvHeads, productOf([groups, length]), headDim];

      return (layer, { queries, keys, values }) => {
        const mask = decoder.slidingLayers.includes(layer) ? near : far;
        const [prefixQueries, ownQueries] = split(queries, tokens, 0);
        const cut = (x: Value) => {
          const [beginning, own] = split(x, tokens, 0);
          const inRows = apart(own, [Q, S, C, kvHeads, headDim], [0, 3, 1, 2, 4]);
          return {
            beginning: apart(beginning, [Q, P, kvHeads, headDim], [0, 2, 1, 3]),
            own: reshape(inRows, [Q, kvHeads, 1, S, C, headDim]),
          };
        };
        const [k, v] = [cut(keys), cut(values)];

        // beginnings look at themselves
        const q = apart(prefixQueries, [Q, P, kvHeads, groups, headDim], [0, 2, 3, 1, 4]);
        const scores = attentionScores(decoder, reshape(q, folded(P)), k.beginning);
        const shares = softmax(add(reshape(scores, [Q, kvHeads, groups, P, P]), mask.prefix));
        const mixed = matmul(reshape(shares, [Q, kvHeads, productOf([groups, P]), P]), v.beginning, { fused });

        // own parts look at their beginning, and each at itself
        const own = apart(ownQueries, [Q, S, C, kvHeads, groups, headDim], [0, 3, 4, 1, 2, 5]);
        const pastScores = attentionScores(decoder, reshape(own, folded(productOf([S, C]))), k.beginning);
        const past = add(reshape(pastScores, [Q, kvHeads, groups, S, C, P]), mask.past);
        const fresh = add(attentionScores(decoder, own, k.own), mask.own);
        const [toPast, toOwn] = split(softmax(concat([past, fresh], 5)), [P, C], 5);
        const fromPast = matmul(reshape(toPast, [Q, kvHeads, productOf([groups, S, C]), P]), v.beginning, { fused });
        const inOwn = [Q, kvHeads, groups, S, C, headDim];
        const ownMixed = add(reshape(fromPast, inOwn), matmul(toOwn, v.own, { fused }));

        const perToken = [kvHeads, groups, headDim];
        const back = [
          reshape(apart(mixed, [Q, kvHeads, groups, P, headDim], [0, 3, 1, 2, 4]), [tokens[0], ...perToken]),
          reshape(transpose(ownMixed, [0, 3, 4, 1, 2, 5]), [tokens[1], ...perToken]),
        ];
        return concat(back, 0);
      };
    },
  };
}
