/** A policy measured on held-out problems: one trajectory a problem, means with 95 % intervals, and breakdowns. */
import type { PolicyPoint, Problem, ScoredTrajectory, Split, Trajectory } from '../../contract/records.ts';
import { mean, meanInterval, wilsonInterval } from '../base/statistics.ts';
import { collectTrajectories, type RolloutSettings } from '../rollout/collect.ts';
import type { DecodeEngine } from '../rollout/decode-engine.ts';
import type { Environment } from './environment.ts';
import { requireNumbers } from './run-health.ts';

export type EvaluatedTrajectory = {
  problem: Problem;
  trajectory: Omit<ScoredTrajectory, 'rewards' | 'paretoRank' | 'advantage'>;
};

/** Summed price of a trajectory's calls. */
export function costOf(trajectory: Pick<Trajectory, 'toolCalls'>): number {
  return trajectory.toolCalls.reduce((sum, call) => sum + call.price, 0);
}

/** [P][G] the trajectories of each problem with their grades and prices. */
export function gradeGroups(
  environment: Pick<Environment, 'grade'>,
  problems: readonly Problem[],
  groups: readonly (readonly Trajectory[])[],
): Promise<EvaluatedTrajectory['trajectory'][][]> {
  const graded = async (problem: Problem, trajectory: Trajectory) => ({
    ...trajectory,
    success: await environment.grade(problem, trajectory),
    cost: costOf(trajectory),
  });
  return Promise.all(
    problems.map((problem, p) => Promise.all(groups[p].map((trajectory) => graded(problem, trajectory)))),
  );
}

/** One trajectory for every problem, graded, in the order of the problems. */
export async function rollOut(
  environment: Environment,
  engine: DecodeEngine,
  problems: readonly Problem[],
  settings: RolloutSettings,
): Promise<EvaluatedTrajectory[]> {
  const requests = problems.map((problem) => ({ problem, samples: 1 }));
  const { groups } = await collectTrajectories(requests, engine, environment.formatOf, environment.callTool, settings);
  requireNumbers(groups.flat());
  const graded = await gradeGroups(environment, problems, groups);
  return problems.map((problem, p) => ({ problem, trajectory: graded[p][0] }));
}

type PointPlace = { step: number; split: Split; sampling: PolicyPoint['sampling']; klToStart: number | null };

/** The point that evaluated trajectories make. Ungraded ones are left out of every mean. */
export function policyPoint(evaluated: readonly EvaluatedTrajectory[], at: PointPlace): PolicyPoint {
  const outcomes = evaluated.map(({ trajectory: { success, cost, toolCalls, sampledLogprobs } }) => {
    return { success, cost, calls: toolCalls.length, sampledTokens: sampledLogprobs.length };
  });
  return { ...pointOfOutcomes(outcomes, at), breakdown: breakdownOf(evaluated) };
}

/** A sentence about those that could not be graded, or null: they are left out of every mean, and may not be like the others. */
export function ungradedNote(evaluated: readonly EvaluatedTrajectory[]): string | null {
  const ungraded = evaluated.filter(({ trajectory }) => trajectory.success === null);
  if (ungraded.length === 0) return null;
  const count = (reason: Trajectory['stopReason']) =>
    ungraded.filter(({ trajectory }) => trajectory.stopReason === reason).length;
  const [late, broken] = [count('time-limit'), count('tool-broken')];
  const reasons = [
    late > 0 && `${late} ran out of time (limits.seconds)`,
    broken > 0 && `${broken} called a tool that failed`,
    ungraded.length > late + broken && `${ungraded.length - late - broken} could not be judged`,
  ].filter((reason) => reason !== false);
  return `${ungraded.length} of ${evaluated.length} problems are left out of the numbers: ${reasons.join(', ')}.`;
}

/** What a trajectory came to, as far as a point needs it. */
export type Outcome = { success: boolean | null; cost: number; calls: number; sampledTokens: number };

/** The point without its breakdown, for whoever has the outcomes alone. */
export function pointOfOutcomes(outcomes: readonly Outcome[], at: PointPlace): Omit<PolicyPoint, 'breakdown'> {
  const graded = outcomes.filter(({ success }) => success !== null);
  const right = graded.filter(({ success }) => success);
  const costs = graded.map(({ cost }) => cost);
  const n = graded.length;
  const success = wilsonInterval(right.length, n);
  const cost = n > 1 ? meanInterval(costs, 0.95) : { low: costs[0] ?? 0, high: costs[0] ?? 0 };
  return {
    ...at,
    n,
    success: n === 0 ? 0 : right.length / n,
    successLow: success.low,
    successHigh: success.high,
    cost: n === 0 ? 0 : mean(costs),
    costLow: Math.max(0, cost.low),
    costHigh: cost.high,
    calls: n === 0 ? 0 : mean(graded.map(({ calls }) => calls)),
    responseLength: n === 0 ? 0 : mean(graded.map(({ sampledTokens }) => sampledTokens)),
  };
}

/** By task (`task:NAME`, with the calls by tool), by tag (`tag:NAME`), and what no demonstration ever held (`unseen`). */
function breakdownOf(evaluated: readonly EvaluatedTrajectory[]): PolicyPoint['breakdown'] {
  const parts = new Map<string, { n: number; right: number; cost: number }>();
  const calls = new Map<string, Record<string, number>>();
  for (const { problem, trajectory } of evaluated) {
    if (trajectory.success === null) continue;
    const names = [
      `task:${problem.task}`,
      ...problem.tags.map((tag) => `tag:${tag}`),
      ...(problem.unseen ? ['unseen'] : []),
    ];
    const [byTask] = names;
    const counts = calls.get(byTask) ?? {};
    // a call of a tool that does not exist has no price
    for (const { name, status } of trajectory.toolCalls) {
      if (status !== 'unknown-tool') counts[name] = (counts[name] ?? 0) + 1;
    }
    calls.set(byTask, counts);
    for (const name of names) {
      const part = parts.get(name) ?? { n: 0, right: 0, cost: 0 };
      parts.set(name, {
        n: part.n + 1,
        right: part.right + Number(trajectory.success),
        cost: part.cost + trajectory.cost,
      });
    }
  }
  return Object.fromEntries(
    [...parts].map(([name, { n, right, cost }]) => {
      const counts = calls.get(name);
      const means = counts && Object.fromEntries(Object.entries(counts).map(([tool, count]) => [tool, count / n]));
      return [name, { n, success: right / n, cost: cost / n, ...(means && { calls: means }) }];
    }),
  );
}
