/** The mean numbers of one training step, from its groups and its update. Pure. */
import type { Group, ScoredTrajectory, StepMetrics } from '../../contract/records.ts';
import { sum } from '../base/statistics.ts';
import type { RolloutTimes } from '../rollout/collect.ts';
import type { UpdateMetrics } from '../train/trainer.ts';

/** Times and rates that the loop measured itself are handed in as `own`. */
export function stepMetrics(
  groups: readonly Group[],
  update: UpdateMetrics,
  times: RolloutTimes,
  report: Record<string, number>,
  own: Pick<StepMetrics, 'learningRate' | 'rolloutMs' | 'gradeMs' | 'trainMs' | 'stepMs'>,
): StepMetrics {
  const all = groups.flatMap((group) => group.trajectories);
  const graded = all.filter((trajectory) => trajectory.success !== null);
  const share = (count: number, of: number) => (of === 0 ? 0 : count / of);
  const calls = all.flatMap((trajectory) => trajectory.toolCalls);
  const sampledTokens = all.reduce((sum, trajectory) => sum + trajectory.sampledLogprobs.length, 0);
  const wins = groups.map((group) => group.trajectories.filter((trajectory) => trajectory.success === true).length);
  const losses = groups.map((group) => group.trajectories.filter((trajectory) => trajectory.success === false).length);
  const count = (test: (wins: number, losses: number) => boolean) =>
    share(wins.filter((won, i) => test(won, losses[i])).length, groups.length);
  const flat = groups.filter((group) => group.trajectories.every((trajectory) => trajectory.advantage === 0));
  return {
    ...own,
    loss: update.loss,
    gradNorm: update.gradNorm,
    entropy: share(-sum(all.flatMap((trajectory) => trajectory.sampledLogprobs)), sampledTokens),
    samplerGap: samplerGap(all, update),
    kl: update.kl,
    clipFraction: update.clipFraction,
    success: share(graded.filter((trajectory) => trajectory.success).length, graded.length),
    cost: share(
      all.reduce((sum, trajectory) => sum + trajectory.cost, 0),
      all.length,
    ),
    calls: share(calls.length, all.length),
    sampledTokens,
    responseLength: share(sampledTokens, all.length),
    groupsMixed: count((won, lost) => won > 0 && lost > 0),
    groupsAllRight: count((won, lost) => won > 0 && lost === 0),
    groupsAllWrong: count((won, lost) => won === 0 && lost > 0),
    groupsWithoutSpread: share(flat.length, groups.length),
    ungraded: all.length - graded.length,
    toolFailureShare: share(calls.filter((call) => call.status !== 'ok').length, calls.length),
    method: report,
    toolMs: times.toolWaitMs,
    logMs: 0,
  };
}

/** Mean |log p (trainer) - log p (sampler)| over the tokens that were trained on. */
function samplerGap(trajectories: readonly ScoredTrajectory[], update: UpdateMetrics): number {
  let total = 0;
  let count = 0;
  for (const [i, { sampledLogprobs }] of trajectories.entries()) {
    for (const [k, logprob] of update.logprobs[i].entries()) {
      total += Math.abs(logprob - sampledLogprobs[k]);
      count++;
    }
  }
  return count === 0 ? 0 : total / count;
}
