/**
 * GDPO: objectives are normalized apart, added with weights, and the sums are whitened over the whole batch.
 *
 *     S_i = sum_m w_m (r_im - mean_group(r_m)) / (std_group(r_m) + 1e-4)
 *     A_i = (S_i - mean_batch(S)) / (std_batch(S) + 1e-4)
 *
 * Source: GDPO (arXiv 2601.05242). Two frameworks read the last line differently, and both forms are here by name:
 * 1. `gdpo`, as TRL: mean and deviation over the trajectories of the batch.
 * 2. `gdpo-tokens`, as verl: over the sampled tokens of the batch, each with its trajectory's sum, so that long trajectories
 *    count more. The mean is then not 0, and a group without any difference gets an advantage that is not 0 either.
 * Departure: 3. epsilon is 1e-4 beside the deviation with n - 1 in both forms, which is TRL's; verl has 1e-6 in the group and 1e-8
 *    under the root over the batch, which changes an advantage by less than 1e-3.
 * Read in: TRL 1.16.0, grpo_trainer.py, multi_objective_aggregation "normalize_then_sum"; verl, core_algos.py, estimator "gdpo".
 */
import { mean, sum } from '../base/statistics.ts';
import type { AdvantageMethod } from './method.ts';
import { sumOfStandardized } from './mo-grpo.ts';

const epsilon = 1e-4;

/** Values with mean 0 and deviation 1 over the batch, each counted `counts` times; all 0 where they do not differ. */
export function whitened(values: readonly number[], counts: readonly number[]): number[] {
  if (values.every((value) => value === values[0])) return values.map(() => 0);
  const total = sum(counts);
  const centre = sum(values.map((value, i) => counts[i] * value)) / total;
  const variance = sum(values.map((value, i) => counts[i] * (value - centre) ** 2)) / (total - 1);
  return values.map((value) => (value - centre) / (Math.sqrt(variance) + epsilon));
}

/** GDPO in one of its two forms; keeps no state. */
export function gdpo(name: 'gdpo' | 'gdpo-tokens'): AdvantageMethod<null> {
  return {
    name,
    initialState: () => null,
    advantages({ groups, weights }) {
      const sums = groups.map(({ rewards }) => sumOfStandardized(rewards, weights));
      const counts = groups.flatMap(({ tokens }) => (name === 'gdpo' ? tokens.map(() => 1) : tokens));
      const flat = whitened(sums.flat(), counts);
      const values = flat.values();
      const advantages = sums.map((row) => row.map(() => values.next().value!));
      return { advantages, report: { batchMean: mean(sums.flat()) }, state: null };
    },
  };
}
