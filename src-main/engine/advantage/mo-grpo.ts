/**
 * MO-GRPO: every objective is normalized by its own deviation within the group, then all are added with equal weight.
 *
 *     A_i = sum_m (r_im - mean(r_m)) / (std(r_m) + 1e-4)
 *
 * Source: MO-GRPO (arXiv 2509.22047). Readings and departures:
 * 1. No weights: that each objective then counts the same is the method's point.
 * 2. Deviation with n - 1 and epsilon 1e-4, as in our GRPO.
 * 3. An objective without spread in a group says nothing there; the others do. So an all-right group still ranks by cost at
 *    full strength, as in GDPO, which adds a normalization over the batch.
 */
import { sum } from '../base/statistics.ts';
import type { AdvantageMethod } from './method.ts';
import { standardized } from './scalars.ts';

/** [G] sum over the objectives of their group-normalized rewards, each times its weight. */
export function sumOfStandardized(rewards: readonly number[][], weights: readonly number[]): number[] {
  const columns = weights.map((_, m) => standardized(rewards.map((vector) => vector[m])));
  return rewards.map((_, i) => sum(columns.map((column, m) => weights[m] * column[i])));
}

/** The method; keeps no state. */
export const moGrpo: AdvantageMethod<null> = {
  name: 'mo-grpo',
  initialState: () => null,
  advantages: ({ groups }) => ({
    advantages: groups.map(({ rewards }) =>
      sumOfStandardized(
        rewards,
        rewards[0].map(() => 1),
      ),
    ),
    report: {},
    state: null,
  }),
};
