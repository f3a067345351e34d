/**
 * Hypervolume-guided dynamic weighting: static weights whose update is as large as the policy's own frontier has just grown.
 *
 *     v      = mean reward vector of the step                     the policy's point
 *     f      = 0.5 + 1.5 tanh(HV(B u {v}) - HV(B))                B: archive of earlier points, reference point 0
 *     A_i    = f (w . r_i - mean(w . r)) / (std(w . r) + 1e-4)
 *
 * Source: "Learning to Optimize Multi-Objective Alignment Through Dynamic Reward Weighting" (arXiv 2509.11452), hypervolume-guided form,
 * and its public code. Departures, 1 to 3 of which repair what makes that code do nothing or break:
 * 1. There f multiplies the rewards of the whole batch before they are divided by the group's deviation, which cancels it.
 *    Here it multiplies the advantage.
 * 2. There a point below the reference gives a negative area and an error; our hypervolume drops it.
 * 3. There the archive starts anew when a run is resumed; here it is the method's state and goes into the checkpoint.
 * 4. There v is measured on validation problems now and then; here it is the mean of the step's own rollouts, each step.
 * 5. f is ParetoPO's r_pareto without a moving average: what is left of stage 1 when its archive holds policies.
 */
import { scaledAdvantages, scoreRound } from './paretopo-stage1.ts';
import type { AdvantageMethod } from './method.ts';

const rules = { gamma: 0, archive: 'mean-vector', average: 'round-mean' } as const;

/** The method; its state is the archive of policy points. */
export const dynamicWeights: AdvantageMethod<number[][]> = {
  name: 'dynamic-weights',
  initialState: () => [],
  advantages({ groups, weights }, archive) {
    const vectors = groups.flatMap(({ rewards }) => rewards);
    const origin = weights.map(() => 0);
    const round = scoreRound(vectors, { archive, average: 0 }, origin, rules);
    const [factor] = round.factors;
    return {
      advantages: groups.map(({ rewards }) =>
        scaledAdvantages(
          rewards,
          weights,
          rewards.map(() => factor),
          'after-normalization',
        ),
      ),
      report: { factor, hypervolumeGain: round.gains[0] },
      state: round.after.archive,
    };
  },
};
