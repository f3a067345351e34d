/**
 * The measured policies at other prices: the same trajectories, their calls priced anew. Pure; no rollout, no engine. Needs
 * the mean calls by tool that a measurement keeps; runs of older versions have none (null). A moved cost has no
 * interval: means of calls say nothing of their spread.
 */
import type { RunConfig } from '../../src-main/contract/run-config.ts';
import type { ViewPoint } from '../runs/run-view.ts';

/** Mean calls a problem by tool, over all tasks; null where the measurement kept none. */
export function callsByTool({ breakdown }: Pick<ViewPoint, 'breakdown'>): Record<string, number> | null {
  const tasks = Object.entries(breakdown).flatMap(([name, part]) => (name.startsWith('task:') ? [part] : []));
  if (tasks.length === 0 || tasks.some(({ calls }) => calls === undefined)) return null;
  const n = tasks.reduce((sum, task) => sum + task.n, 0);
  const means: Record<string, number> = {};
  for (const { n: weight, calls = {} } of tasks) {
    for (const [tool, mean] of Object.entries(calls)) means[tool] = (means[tool] ?? 0) + (mean * weight) / n;
  }
  return means;
}

/** The tools that were called when the points were measured. */
export function measuredTools(points: readonly Pick<ViewPoint, 'breakdown'>[]): string[] {
  const names = new Set<string>();
  for (const { breakdown } of points) for (const part of Object.values(breakdown)) for (const tool in part.calls) names.add(tool);
  return [...names];
}

/** The points with the cost they would have; null where one of them kept no calls. A tool that is not priced costs 1. */
export function movedPoints(points: readonly ViewPoint[], prices: Record<string, number>): ViewPoint[] | null {
  const moved = points.map((point) => {
    const calls = callsByTool(point);
    if (calls === null) return null;
    const cost = Object.entries(calls).reduce((sum, [tool, mean]) => sum + mean * (prices[tool] ?? 1), 0);
    return { ...point, cost, costLow: cost, costHigh: cost };
  });
  return moved.every((point) => point !== null) ? moved : null;
}

/** The cost at which efficiency is 0 under these prices: what the run's settings say, else its call limit at the dearest. */
export function costLimitAt({ costLimit, limits }: RunConfig, prices: Record<string, number>, tools: readonly string[]): number {
  if (costLimit > 0) return costLimit;
  return limits.calls * Math.max(0, ...tools.map((tool) => prices[tool] ?? 1)) || 1;
}
