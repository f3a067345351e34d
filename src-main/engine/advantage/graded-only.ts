/**
 * Trajectories that could not be graded (time-out, broken tool) must not move the policy, nor the mean, deviation or rank of
 * those that could. Done once, around a method, so that no method has to think of it.
 */
import type { Json } from '../../contract/records.ts';
import type { AdvantageInput, AdvantageMethod } from './method.ts';

/** The method on graded trajectories only; the others get advantage 0 and rank 0. A step without any changes nothing. */
export function gradedOnly<State extends Json>(method: AdvantageMethod<State>): AdvantageMethod<State> {
  return {
    ...method,
    advantages(input, state) {
      const zeros = input.groups.map(({ successes }) => successes.map(() => 0));
      const graded = input.groups.map(({ successes }) =>
        successes.flatMap((success, g) => (success === null ? [] : [g])),
      );
      const kept = input.groups.flatMap((_, p) => (graded[p].length > 0 ? [p] : []));
      if (kept.length === 0) return { advantages: zeros, report: {}, state };

      const groups: AdvantageInput['groups'] = kept.map((p) => ({
        problemId: input.groups[p].problemId,
        rewards: graded[p].map((g) => input.groups[p].rewards[g]),
        successes: graded[p].map((g) => input.groups[p].successes[g]),
        costs: graded[p].map((g) => input.groups[p].costs[g]),
        fewestCost: input.groups[p].fewestCost,
        tokens: graded[p].map((g) => input.groups[p].tokens[g]),
      }));
      const output = method.advantages({ ...input, groups }, state);
      const spread = (values: number[][]) => {
        const full = zeros.map((row) => [...row]);
        kept.forEach((p, k) => {
          graded[p].forEach((g, i) => {
            full[p][g] = values[k][i];
          });
        });
        return full;
      };
      return {
        ...output,
        advantages: spread(output.advantages),
        ...(output.ranks && { ranks: spread(output.ranks) }),
      };
    },
  };
}
