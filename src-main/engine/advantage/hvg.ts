/**
 * Hypervolume-gradient advantage: each trajectory is worth what it adds to the hypervolume of its group's mean reward.
 *
 *     V = mu_1 mu_2 ... mu_M                 hypervolume of the mean vector mu above the reference point 0
 *     A_i = sum_m (dV / dmu_m) (r_im - mu_m) = sum_m (product of mu_k, k != m) (r_im - mu_m)
 *
 * With (r_task, r_tool):  A_i = mean(r_tool) (r_task,i - mean(r_task)) + mean(r_task) (r_tool,i - mean(r_tool)).
 *
 * Ours, in the spirit of ParetoPO's hypervolume: not in the paper. It has no weights, no archive and no stages. A cost counts
 * in proportion to the group's pass rate, and not at all while nothing succeeds, so an agent that still has to learn a tool is
 * not taught to avoid it; that is the collapse of stage 2 that it repairs. Departures from GRPO and ParetoPO:
 * 1. Not divided by the group's deviation: that would cancel the pass rate, which is the point.
 * 2. Rewards must be >= 0 (they lie in [0, 1]), or the reference point 0 would be meaningless.
 */
import { mean } from '../base/statistics.ts';
import type { AdvantageMethod } from './method.ts';
import { centred } from './scalars.ts';

/** [G] advantages of one group from its reward vectors [G][M], any M. */
export function hypervolumeGradient(rewards: readonly number[][]): number[] {
  const columns = rewards[0].map((_, m) => rewards.map((vector) => vector[m]));
  const means = columns.map(mean);
  const slopes = means.map((_, m) => means.reduce((product, mu, k) => (k === m ? product : product * mu), 1));
  const steps = columns.map(centred);
  return rewards.map((_, i) => slopes.reduce((sum, slope, m) => sum + slope * steps[m][i], 0));
}

/** The method; keeps no state. Reports the mean hypervolume of the groups' mean vectors. */
export const hvg: AdvantageMethod<null> = {
  name: 'hvg',
  initialState: () => null,
  advantages: ({ groups }) => ({
    advantages: groups.map(({ rewards }) => hypervolumeGradient(rewards)),
    report: { groupHypervolume: mean(groups.map(({ rewards }) => volumeOfMean(rewards))) },
    state: null,
  }),
};

function volumeOfMean(rewards: readonly number[][]): number {
  return rewards[0].reduce((product, _, m) => product * mean(rewards.map((vector) => vector[m])), 1);
}
