/**
 * `ffp`, failures first, then price: a success is always worth more than a failure; how it was paid for ranks successes among
 * themselves, in proportion to how often the problem is solved.
 *
 *     s_i = 0                                                              for a failure
 *     s_i = 1 + passrate * sum over m >= 1 of (w_m / w_0) (K_m - k_im) / (K_m - 1)    for a success
 *     A_i = s_i - mean(s)
 *
 * K_m: distinct values of objective m among the group's successes, k_im: place of trajectory i's value among them, 1 is best;
 * the term is 0 where K_m = 1.
 *
 * Ours: stage 2 of ParetoPO gated by success and scaled by the pass rate, the second repair beside `hvg`. Departures from stage 2:
 * 1. Ranks are among successes only, and divided by their number: groups with many cost levels count no more than others.
 * 2. With three objectives each is ranked for itself, since the front of two costs alone would let one of them go.
 * 3. It leans on its weights: with w_tool above w_task cost decides before the task is mastered (w_0 = 0 is refused).
 */
import { mean, sum } from '../base/statistics.ts';
import type { AdvantageMethod } from './method.ts';
import { centred } from './scalars.ts';

/** [G] scores s of one group from its reward vectors [G][M] and weights [M], w_0 > 0. */
export function gatedRanks(rewards: readonly number[][], weights: readonly number[]): number[] {
  const wins = rewards.filter(([success]) => success > 0);
  const passRate = wins.length / rewards.length;
  const levels = weights.map((_, m) => distinct(wins.map((vector) => vector[m])));
  return rewards.map((vector) => {
    if (vector[0] === 0) return 0;
    const terms = levels.slice(1).map((best, i) => {
      const k = best.findIndex((value) => same(value, vector[i + 1]));
      return best.length < 2 ? 0 : (weights[i + 1] / weights[0]) * ((best.length - 1 - k) / (best.length - 1));
    });
    return 1 + passRate * sum(terms);
  });
}

/** Distinct values, largest first. */
function distinct(values: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => b - a);
  return sorted.filter((value, i) => i === 0 || !same(value, sorted[i - 1]));
}

/** Equal but for rounding. */
function same(a: number, b: number): boolean {
  return Math.abs(a - b) < 1e-12;
}

/** The method; keeps no state. Reports the mean pass rate that scaled the ranks. */
export const ffp: AdvantageMethod<null> = {
  name: 'ffp',
  initialState: () => null,
  advantages: ({ groups, weights }) => ({
    advantages: groups.map(({ rewards }) => centred(gatedRanks(rewards, weights))),
    report: { passRate: mean(groups.map(({ rewards }) => mean(rewards.map(([success]) => success)))) },
    state: null,
  }),
};
