/**
 * OTC-GRPO: success times how near the number of calls is to the fewest that ever solved the problem, under plain GRPO.
 *
 *     m = calls of the trajectory, n = fewest calls of a success, c = 4
 *     f = 2 n m / (m + n)                               a mapping of m that is n at m = n
 *     s = sin(pi f / (2 n))         for n > 0           1 at m = n, lower on both sides
 *     s = cos(pi m / (2 m + c))     for n = 0           1 at m = 0, falling
 *     R = s * r_task                A = (R - mean(R)) / (std(R) + 1e-4)
 *
 * Source: "OTC: Optimal Tool Calls via Reinforcement Learning" (arXiv 2504.14870), OTC-GRPO. Its authors have published no code; public
 * re-implementations agree on f and s, and some add alpha r_task + beta s instead, which pays failures for few calls: not the paper.
 * Readings and departures:
 * 1. A failure earns nothing whatever it spent: this is what keeps the method from teaching not to call. It has no weights.
 * 2. The paper scales R by a factor alpha; group normalization divides it out again, so there is none here.
 * 3. m and n are costs in units of the reference price; with unit prices they are the paper's numbers of calls.
 * 4. n counts the step at hand, as the rewards of the other methods do, and never rises.
 * 5. A third objective (`length`, ours) multiplies R as well; the paper has none. c is the smoothing constant: 4, our limit of
 *    calls, fixed.
 */
import type { RunConfig } from '../../contract/run-config.ts';
import type { AdvantageMethod, ScoredGroup } from './method.ts';
import { standardized } from './scalars.ts';

const smoothing = 4;

/** s for `spent` calls where `fewest` are enough: in [0, 1], 1 exactly at the fewest. */
export function callScore(spent: number, fewest: number): number {
  if (fewest === 0) return Math.cos((Math.PI * spent) / (2 * spent + smoothing));
  if (spent === fewest) return 1;
  return Math.sin((Math.PI * spent) / (spent + fewest));
}

/** [G] rewards R of one group; objectives other than success and tool multiply. */
export function otcRewards({ rewards, costs, fewestCost }: ScoredGroup, objectives: RunConfig['objectives']): number[] {
  const others = objectives.flatMap((name, m) => (name === 'success' || name === 'tool' ? [] : [m]));
  return rewards.map((vector, i) => {
    if (vector[0] === 0) return 0;
    // a success has been counted in the minimum
    const score = callScore(costs[i], fewestCost ?? costs[i]);
    return others.reduce((product, m) => product * vector[m], vector[0] * score);
  });
}

/** The method for runs with these objectives; keeps no state. */
export function otc(objectives: RunConfig['objectives']): AdvantageMethod<null> {
  return {
    name: 'otc',
    initialState: () => null,
    advantages: ({ groups }) => ({
      advantages: groups.map((group) => standardized(otcRewards(group, objectives))),
      report: {},
      state: null,
    }),
  };
}
