/**
 * Which checkpoint a user means: by step, the last one, a point of the frontier, or the one that serves most people. The
 * choice is made on the selection split only; what is then said of it is measured on the report split.
 */
import { ParetuneError } from '../../contract/errors.ts';
import type { PolicyPoint } from '../../contract/records.ts';
import { insertBy } from '../pareto/archive.ts';
import { frontierVector } from './run-state.ts';

/** Success may be this much below the highest for `best` to prefer the cheaper policy. */
const BEST_TOLERANCE = 0.01;

/** The frontier of sampled selection points, cheapest first. */
export function frontierOf(points: readonly PolicyPoint[], costLimit: number): PolicyPoint[] {
  let frontier: readonly PolicyPoint[] = [];
  for (const point of points) {
    if (point.split !== 'selection' || point.sampling !== 'sampled') continue;
    frontier = insertBy(frontier, point, (member) => frontierVector(member, costLimit));
  }
  return [...frontier].sort((a, b) => a.cost - b.cost);
}

/** The cheapest point of a frontier whose success is within one point of the highest. */
export function bestPoint(frontier: readonly PolicyPoint[]): PolicyPoint {
  const highest = Math.max(...frontier.map((point) => point.success));
  return frontier.find((point) => point.success >= highest - BEST_TOLERANCE)!;
}

/**
 * The step of a checkpoint named `best`, `last`, `start`, `frontier:K` (1 is the cheapest) or by its number. `steps` are
 * the checkpoints that exist. Throws `not-found` with what there is.
 */
export function chooseCheckpoint(
  name: string,
  steps: readonly number[],
  points: readonly PolicyPoint[],
  costLimit: number,
): number {
  const frontier = frontierOf(points, costLimit).filter((point) => steps.includes(point.step));
  const step = chosenStep(name, steps, frontier);
  if (step !== null && steps.includes(step)) return step;
  throw new ParetuneError('not-found', `There is no checkpoint "${name}" in this run.`, {
    hint: `It has the steps ${[...steps].sort((a, b) => a - b).join(', ')}, start, last, best, and frontier:1 to frontier:${frontier.length}.`,
  });
}

function chosenStep(name: string, steps: readonly number[], frontier: readonly PolicyPoint[]): number | null {
  if (name === 'last') return Math.max(...steps);
  if (name === 'start') return 0;
  if (name === 'best') return frontier.length > 0 ? bestPoint(frontier).step : Math.max(...steps);
  const place = /^frontier:(\d+)$/.exec(name);
  if (place) return frontier[Number(place[1]) - 1]?.step ?? null;
  return /^\d+$/.test(name) ? Number(name) : null;
}
