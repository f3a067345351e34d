/**
 * What other prices would do: the tool reward of logged trajectories of one problem, and how the frontier of re-scored
 * points moves. Pure; success never changes, and no model is asked. Formula: src-main/engine/reward (exp(-alpha |N - N*|)).
 */
import type { Rescored, RescoredPoint } from '../../src-main/contract/window-records.ts';
import { kneeOf } from './pareto.ts';

export type LoggedCalls = { key: number; label: string; success: boolean | null; calls: { name: string; status: string }[] };
export type PriceEffect = { key: number; label: string; success: boolean | null; cost: number; reward: number | null };

/** Summed price of the calls; one that is not named costs 1, a call of a tool that does not exist nothing. */
export function costAt(calls: LoggedCalls['calls'], prices: Record<string, number>): number {
  return calls.reduce((sum, { name, status }) => sum + (status === 'unknown-tool' ? 0 : (prices[name] ?? 1)), 0);
}

/** Cost and tool reward of each trajectory of one problem; N* is the cheapest success among them, null without any. */
export function priceEffects(
  logged: readonly LoggedCalls[],
  prices: Record<string, number>,
  { alpha, referencePrice }: { alpha: number; referencePrice: number },
): PriceEffect[] {
  const costs = logged.map(({ calls }) => costAt(calls, prices));
  const solved = costs.filter((_, i) => logged[i].success === true);
  const fewest = solved.length === 0 ? null : Math.min(...solved);
  return logged.map(({ key, label, success }, i) => ({
    key,
    label,
    success,
    cost: costs[i],
    reward: fewest === null ? null : Math.exp((-alpha * Math.abs(costs[i] - fewest)) / (referencePrice || 1)),
  }));
}

/** The knee of the logged points before and after a change of prices. */
export function kneeMove(rescored: Rescored): { before: RescoredPoint; after: RescoredPoint } | null {
  const { points, costLimit } = rescored;
  const after = kneeOf(points, costLimit);
  const old = kneeOf(
    points.map((point) => ({ success: point.success, cost: point.costBefore, point })),
    Math.max(costLimit, ...points.map(({ costBefore }) => costBefore * 1.01)),
  );
  return after && old ? { before: old.point, after } : null;
}

/** The number typed into a price field: at least 0, a point or a comma; null where it is none. */
export function parsePrice(text: string): number | null {
  const normal = text.trim().replace(',', '.');
  if (!/^\d+(\.\d*)?$|^\.\d+$/.test(normal)) return null;
  const value = Number(normal);
  return value <= 1e12 ? value : null;
}
