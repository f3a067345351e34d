/**
 * GRPO on success alone: the baseline that does not care what tools cost.
 *
 *     A_i = (r_i - mean(r)) / (std(r) + 1e-4)          r = r_task; std with G - 1
 *
 * Source: DeepSeekMath (arXiv 2402.03300), equation of the group-relative advantage; epsilon and unbiased deviation as in
 * TRL's scale_rewards="group". Uses neither the objective weights nor the rewards after the first.
 */
import type { AdvantageMethod } from './method.ts';
import { standardized } from './scalars.ts';

/** Success-only GRPO; keeps no state. */
export const grpo: AdvantageMethod<null> = {
  name: 'grpo',
  initialState: () => null,
  advantages: ({ groups }) => ({
    advantages: groups.map(({ rewards }) => standardized(rewards.map(([success]) => success))),
    report: {},
    state: null,
  }),
};
