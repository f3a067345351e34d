/**
 * GRPO on a weighted sum of the objectives, with weights that never change: the plainest cost-aware method, and what stage 1
 * of ParetoPO becomes when its factor stops moving.
 *
 *     R_i = w . r_i          A_i = (R_i - mean(R)) / (std(R) + 1e-4)
 *
 * It reaches every supported point of the frontier of policies, one for each w; which w is the user's guess.
 */
import type { AdvantageMethod } from './method.ts';
import { standardized, weightedSums } from './scalars.ts';

/** Static scalarization; keeps no state. */
export const staticWeights: AdvantageMethod<null> = {
  name: 'static',
  initialState: () => null,
  advantages: ({ groups, weights }) => ({
    advantages: groups.map(({ rewards }) => standardized(weightedSums(rewards, weights))),
    report: {},
    state: null,
  }),
};
