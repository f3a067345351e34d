/** What the groups of a step have in them for a method to learn from: spread, groups without success, who moves the weights. Pure. */
import type { Group } from '../../contract/records.ts';
import type { RunConfig } from '../../contract/run-config.ts';

export type GroupStatistics = {
  /** shares of groups with spread in each objective; null where the run does not have that objective */
  spreadSuccess: number | null;
  spreadTool: number | null;
  spreadLength: number | null;
  /** mean calls in groups without any success; null where every group has one */
  callsUnsolved: number | null;
  /** failures' share of sum |advantage| x sampled tokens: of the gradient's size, roughly */
  failureShare: number | null;
  /** share of failures with an advantage above 0 */
  failuresRewarded: number | null;
};

/** Statistics over graded trajectories of one step's groups. */
export function groupStatistics(groups: readonly Group[], objectives: RunConfig['objectives']): GroupStatistics {
  const graded = groups.map(({ trajectories }) => trajectories.filter(({ success }) => success !== null));
  const spread = (objective: RunConfig['objectives'][number]) => {
    const m = objectives.indexOf(objective);
    if (m < 0) return null;
    const apart = graded.filter((group) => group.some(({ rewards }) => rewards[m] !== group[0].rewards[m]));
    return ratio(apart.length, groups.length);
  };
  const unsolved = graded.filter((group) => group.every(({ success }) => !success)).flat();
  const all = graded.flat();
  const failures = all.filter(({ success }) => !success);
  const size = (list: typeof all) =>
    list.reduce((sum, { advantage, sampledLogprobs }) => sum + Math.abs(advantage) * sampledLogprobs.length, 0);
  return {
    spreadSuccess: spread('success'),
    spreadTool: spread('tool'),
    spreadLength: spread('length'),
    callsUnsolved: ratio(
      unsolved.reduce((sum, { toolCalls }) => sum + toolCalls.length, 0),
      unsolved.length,
    ),
    failureShare: ratio(size(failures), size(all)),
    failuresRewarded: ratio(failures.filter(({ advantage }) => advantage > 0).length, failures.length),
  };
}

function ratio(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}
