/**
 * Which checkpoint of a run a user means: `last`, a step, `frontier:K` (the K-th point of the frontier on the selection
 * split, 1 is the cheapest), or `best`: of the frontier's points, the one that alone spans the largest hypervolume,
 * success x (1 - cost / cost limit), the steeper success deciding a tie.
 */
import { ParetuneError } from '../contract/errors.ts';
import type { CheckpointRecord } from '../contract/run-events.ts';
import { frontierVector } from '../engine/run/run-state.ts';
import type { Readers } from '../store/readers.ts';

/** Error `not-found` lists what there is. */
export function pickCheckpoint(store: Readers, run: string, name: string): CheckpointRecord {
  const kept = store.checkpoints(run).map(({ checkpoint }) => checkpoint);
  const none = (what: string) =>
    new ParetuneError(
      'not-found',
      `${what}; run ${run} has the checkpoints ${kept.map(({ step }) => step).join(', ') || '(none)'}.`,
      {
        hint: 'Name last, best, frontier:K or one of these steps.',
      },
    );
  if (name === 'last') {
    const last = kept.at(-1);
    if (last) return last;
    throw none('There is no checkpoint yet');
  }
  if (name === 'best' || name.startsWith('frontier:')) {
    const points = store.frontier(run, 'selection').filter(({ checkpoint }) => checkpoint !== null);
    if (points.length === 0) throw none('No point of the frontier has a checkpoint yet');
    if (name === 'best') {
      const { costLimit } = store.getRun(run).facts;
      const span = ({ point }: (typeof points)[number]) => {
        const [success, efficiency] = frontierVector(point, costLimit);
        return success * Math.max(0, efficiency);
      };
      return points.reduce((a, b) => (span(b) >= span(a) ? b : a)).checkpoint!;
    }
    const chosen = points[Number(name.slice('frontier:'.length)) - 1];
    if (chosen) return chosen.checkpoint!;
    throw none(`The frontier has ${points.length} points, and ${name} names none of them`);
  }
  const found = kept.find(({ step }) => String(step) === name);
  if (found) return found;
  throw none(`There is no checkpoint ${JSON.stringify(name)}`);
}
