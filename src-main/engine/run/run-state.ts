/**
 * What a run remembers from step to step, beside weights and optimizer moments: plain JSON in the checkpoint. Random
 * numbers and the order of the data are functions of the seed and the step, so they need no memory.
 */
import type { Json, PolicyPoint } from '../../contract/records.ts';
import type { RunFacts } from '../../contract/run-events.ts';
import { hypervolume } from '../pareto/hypervolume.ts';
import { insertBy } from '../pareto/archive.ts';
import { emptyFewest, type FewestTable } from '../reward/fewest.ts';

export type RunState = {
  /** updates made so far */
  step: number;
  optimizerUpdates: number;
  facts: RunFacts;
  prices: Record<string, number>;
  fewest: FewestTable;
  method: Json;
  /** policy points on the selection split that no other dominates */
  frontier: PolicyPoint[];
  /** entropy of the first step, nats a token; null before it */
  startEntropy: number | null;
  /** steps in a row that looked collapsed */
  collapsedSteps: number;
};

export function firstState(facts: RunFacts, prices: Record<string, number>, method: Json): RunState {
  return {
    step: 0,
    optimizerUpdates: 0,
    facts,
    prices,
    fewest: emptyFewest(),
    method,
    frontier: [],
    startEntropy: null,
    collapsedSteps: 0,
  };
}

/**
 * Steps whose checkpoints stay, of those on the disk: the start, the last few and those of the frontier. One of a later
 * step was saved by an attempt that was cut off before it could say so: it must not take the place of a counted one.
 */
export function checkpointsToKeep(
  steps: readonly number[],
  { step, frontier }: Pick<RunState, 'step' | 'frontier'>,
  keepLast: number,
): Set<number> {
  const counted = steps.filter((one) => one <= step).sort((a, b) => b - a);
  return new Set([0, ...counted.slice(0, keepLast), ...frontier.map((point) => point.step)]);
}

/** Axes of the frontier: success and 1 - cost / limit, both maximised, reference point (0, 0). */
export function frontierVector(point: Pick<PolicyPoint, 'success' | 'cost'>, costLimit: number): number[] {
  return [point.success, 1 - point.cost / costLimit];
}

/** The frontier with one more policy point, whether it stays on it (of no graded problem it never does), and the hypervolume afterwards. */
export function withPoint(
  frontier: readonly PolicyPoint[],
  point: PolicyPoint,
  costLimit: number,
): { frontier: PolicyPoint[]; onFrontier: boolean; hypervolume: number } {
  const vectorOf = (member: PolicyPoint) => frontierVector(member, costLimit);
  const next = point.n === 0 ? frontier : insertBy(frontier, point, vectorOf);
  return {
    frontier: [...next],
    onFrontier: next.includes(point),
    hypervolume: hypervolume(next.map(vectorOf), [0, 0]),
  };
}
