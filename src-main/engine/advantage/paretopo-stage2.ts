/**
 * Stage 2 of ParetoPO, local: the rank of a trajectory's front within its group is its advantage.
 *
 *     rho     = rank of the front, 1 .. N_rank, 1 is best          non-dominated sort of the group's reward vectors
 *     A_base  = N_rank - rho + 1
 *     r_hat   = (w . r - min) / (max - min) within the front        0.5 where max = min
 *     A       = A_base + beta (r_hat - 0.5)                         beta <= 1: no worse rank ever beats a better one
 *
 * Source: ParetoPO (arXiv 2606.16111), stage 2; its bound: mean(A^2) <= (N_rank + beta / 2)^2. Traps and departures:
 * 1. Printed advantages are all positive (`raw`): a failure is pushed up too, and a group without any difference gets A = 1.
 *    `centred` (default) subtracts the group's mean, `scaled` also divides by its deviation + 1e-4.
 * 2. Rank does not know that success matters more. A failure that spent nothing is ranked above a success that spent too much,
 *    which is fatal while a tool is still to be learnt. beta = 1 only softens it; `hvg` does not have it.
 * 3. Two weighted sums that differ by rounding only would get r_hat 0 and 1: within 1e-12 they count as equal.
 * 4. The paper's smoothed (Gumbel) rank is a device of its proof: the limit, the true order, is what is implemented.
 */
import type { ParetopoOptions } from '../../contract/run-config.ts';
import { mean } from '../base/statistics.ts';
import { nonDominatedSort } from '../pareto/non-dominated-sort.ts';
import type { AdvantageInput, AdvantageOutput } from './method.ts';
import { centred, standardized, weightedSums } from './scalars.ts';

export type Stage2Options = Pick<ParetopoOptions, 'beta' | 'stage2'>;

/** One group ranked: rho [G], N_rank, r_hat [G] and the advantage as printed [G]. */
export type RankedGroup = { ranks: number[]; frontCount: number; within: number[]; raw: number[] };

/** Ranks the reward vectors [G][M] of one group, any M. */
export function rankGroup(rewards: number[][], weights: number[], beta: number): RankedGroup {
  const ranks = nonDominatedSort(rewards);
  const frontCount = Math.max(...ranks);
  const scalars = weightedSums(rewards, weights);
  const within = scalars.map((scalar, i) => {
    const front = scalars.filter((_, j) => ranks[j] === ranks[i]);
    const lowest = Math.min(...front);
    const spread = Math.max(...front) - lowest;
    return spread < 1e-12 ? 0.5 : (scalar - lowest) / spread;
  });
  const raw = ranks.map((rank, i) => frontCount - rank + 1 + beta * (within[i] - 0.5));
  return { ranks, frontCount, within, raw };
}

const finish = { raw: (values: number[]) => values, centred, scaled: standardized };

/** One step of stage 2; needs no memory. */
export function stage2(
  { groups, weights }: AdvantageInput,
  { beta, stage2: form }: Stage2Options,
): Omit<AdvantageOutput<never>, 'state'> {
  const ranked = groups.map(({ rewards }) => rankGroup(rewards, weights, beta));
  return {
    advantages: ranked.map(({ raw }) => finish[form](raw)),
    ranks: ranked.map(({ ranks }) => ranks),
    report: { stage: 2, fronts: mean(ranked.map(({ frontCount }) => frontCount)) },
  };
}
