/**
 * From graded trajectories to reward vectors: r = (r_task, r_tool, ...), all in [0, 1], all maximised.
 *
 *     r_task   = 1 for a success, 0 for a failure
 *     r_tool   = exp(-alpha |cost - fewest cost|)          paper: exp(-alpha |N_call - N_optimal|)
 *     r_length = exp(-alpha |tokens - fewest tokens|)      ours: the paper has two objectives
 *
 * Source: ParetoPO (arXiv 2606.16111), reward definition. Decisions the paper leaves open, and departures:
 * 1. Cost and tokens are in units of a reference price and a reference length (amounts.ts); unit prices give N_call.
 * 2. The efficiency rewards are also given to failures, as printed. Which trajectory then deserves what is the method's
 *    business.
 * 3. A problem without any success yet has no minimum. `zero` (default): the minimum of nothing is infinite, so r_tool is
 *    0 for all; `one`: 1 for all; both make no difference between trajectories. `optimal-is-zero` and `group-minimum`
 *    reward the cheapest failure, which taught the prototype's agent to call nothing at all.
 * 4. A trajectory that could not be graded (success null: time-out, broken tool) has rewards of 0, success null, and no
 *    part in any minimum; makeMethod (advantage/methods.ts) leaves it out and gives it advantage 0.
 */
import type { RunFacts } from '../../contract/run-events.ts';
import type { RunConfig } from '../../contract/run-config.ts';
import { inUnitsOf } from './amounts.ts';
import { fewestOf, type FewestTable, type Spending, type Spent, withSuccesses } from './fewest.ts';

/** What scoring needs of a trajectory: its grade, its summed price in the user's unit, the tokens the model sampled. */
export type Outcome = { success: boolean | null; cost: number; sampledTokens: number };

export type OutcomeGroup = { problemId: string; outcomes: Outcome[] };

export type RewardRules = Pick<RunConfig, 'objectives' | 'alpha' | 'unsolved'> &
  Pick<RunFacts, 'referencePrice' | 'referenceLength'>;

/** [G][M] rewards in the objective order of the run; [G] successes as 1, 0, or null where nothing was graded. */
export type RewardedGroup = {
  problemId: string;
  rewards: number[][];
  successes: (number | null)[];
  /** [G] cost in units of the reference price, the least with which the problem was ever solved, [G] sampled tokens */
  costs: number[];
  fewestCost: number | null;
  tokens: number[];
};

/** Reward vectors of one step's groups, and the table that the step leaves behind (already with this step's successes). */
export function scoreGroups(
  groups: readonly OutcomeGroup[],
  before: FewestTable,
  rules: RewardRules,
): { groups: RewardedGroup[]; fewest: FewestTable } {
  const spentBy = groups.map(({ outcomes }) => outcomes.map((outcome) => amounts(outcome, rules)));
  const successes = groups.flatMap(({ problemId, outcomes }, p) =>
    outcomes.flatMap(({ success }, g) => (success ? [{ problemId, spent: spentBy[p][g] }] : [])),
  );
  const fewest = withSuccesses(before, successes);
  return { groups: groups.map((group, p) => scoreGroup(group, spentBy[p], fewest, rules)), fewest };
}

/** exp(-alpha |spent - fewest|): 1 for the fewest, towards 0 for more. */
export function efficiency(spent: number, fewest: number, alpha: number): number {
  return Math.exp(-alpha * Math.abs(spent - fewest));
}

function amounts({ cost, sampledTokens }: Outcome, { referencePrice, referenceLength }: RewardRules): Spent {
  return { tool: inUnitsOf(referencePrice, cost), length: inUnitsOf(referenceLength, sampledTokens) };
}

function scoreGroup(
  { problemId, outcomes }: OutcomeGroup,
  spent: Spent[],
  fewest: FewestTable,
  { objectives, alpha, unsolved }: RewardRules,
): RewardedGroup {
  const graded = spent.filter((_, g) => outcomes[g].success !== null);

  const efficiencyOf = (spending: Spending, amount: number) => {
    const least = fewestOf(fewest, spending, problemId);
    if (least !== undefined) return efficiency(amount, least, alpha);
    if (unsolved === 'zero') return 0;
    if (unsolved === 'one') return 1;
    const standIn = unsolved === 'optimal-is-zero' ? 0 : Math.min(...graded.map((other) => other[spending]));
    return efficiency(amount, standIn, alpha);
  };
  const rewardsOf = ({ success }: Outcome, g: number) =>
    objectives.map((objective) => {
      if (success === null) return 0;
      return objective === 'success' ? Number(success) : efficiencyOf(objective, spent[g][objective]);
    });
  return {
    problemId,
    rewards: outcomes.map(rewardsOf),
    successes: outcomes.map(({ success }) => (success === null ? null : Number(success))),
    costs: spent.map(({ tool }) => tool),
    fewestCost: fewestOf(fewest, 'tool', problemId) ?? null,
    tokens: outcomes.map(({ sampledTokens }) => sampledTokens),
  };
}
