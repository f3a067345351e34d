/**
 * `rescore`: what a run's logged trajectories would have cost under other prices. No rollout is made and no model is
 * opened: success is as it was graded, the cost is summed anew. A weights version is judged by the trajectories of the
 * steps that it sampled, so the points are those of training problems, a window of steps each.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { type Outcome, pointOfOutcomes } from '../../engine/run/evaluate.ts';
import { withPoint } from '../../engine/run/run-state.ts';
import type { PolicyPoint } from '../../contract/records.ts';
import type { Rescored, RescoredPoint } from '../../contract/window-records.ts';
import type { LoggedOutcome } from '../../store/read-outcomes.ts';
import { defineCommand } from '../command.ts';
import { withStore } from '../with-store.ts';

/** Steps that are read between two looks at the stop signal. */
const stepsAtOnce = 64;

export const command = defineCommand({
  payload: z.strictObject({
    run: z.string(),
    prices: z.record(z.string(), z.number().min(0)),
    windows: z.int().min(1).max(1000),
  }),
  async run({ run, prices: given, windows }, { dataFolder, progress, signal }): Promise<Rescored> {
    return withStore(dataFolder, 'read', async (store) => {
      const { runId, config, facts } = store.getRun(run);
      const steps = store.stepNumbers(runId);
      if (steps.length === 0) throw new ParetuneError('not-found', `Run ${runId} has no step yet.`);
      const prices = { ...config.prices, ...given };
      const toolPrice = (tool: string) => prices[tool] ?? 1;
      // a call of a tool that does not exist costs nothing, as in the rollout
      const priceOf = ({ name, status }: LoggedOutcome['calls'][number]) =>
        status === 'unknown-tool' ? 0 : toolPrice(name);
      const known = new Set<string>();
      const size = Math.ceil(steps.length / windows);
      const points: RescoredPoint[] = [];
      for (let first = 0; first < steps.length; first += size) {
        const window = steps.slice(first, first + size);
        const outcomes: Outcome[] = [];
        let costBefore = 0;
        for (let i = 0; i < window.length; i += stepsAtOnce) {
          await nextTurn(); // a stop, and our own heartbeat, get their turn
          if (signal.aborted) throw new ParetuneError('interrupted', 'Stopped before all trajectories were scored.');
          const last = Math.min(i + stepsAtOnce, window.length) - 1;
          for (const { success, cost: paid, sampledTokens, calls } of store.outcomes(runId, window[i], window[last])) {
            for (const { name } of calls) known.add(name);
            const cost = calls.reduce((sum, call) => sum + priceOf(call), 0);
            if (success !== null) costBefore += paid;
            outcomes.push({ success, cost, calls: calls.length, sampledTokens });
          }
          progress({ label: 'scoring', done: first + last + 1, total: steps.length, note: 'steps' });
        }
        const at = { step: window[window.length - 1], split: 'train', sampling: 'sampled', klToStart: null } as const;
        const point = pointOfOutcomes(outcomes, at);
        points.push({
          ...point,
          fromStep: window[0],
          costBefore: costBefore / Math.max(1, point.n),
          onFrontier: false,
        });
      }
      const unused = Object.keys(given).filter((tool) => !known.has(tool));
      if (unused.length > 0) {
        throw new ParetuneError(
          'usage',
          `No trajectory of ${runId} calls ${unused.join(', ')}; they call ${[...known].join(', ') || 'no tool'}.`,
        );
      }
      const costLimit = config.limits.calls * Math.max(...[...known].map(toolPrice), 0) || facts.costLimit;
      let frontier: PolicyPoint[] = [];
      let hypervolume = 0;
      for (const point of points)
        ({ frontier, hypervolume } = withPoint(frontier, { ...point, breakdown: {} }, costLimit));
      const best = new Set(frontier.map(({ step }) => step));
      return {
        runId,
        prices,
        costLimit,
        hypervolume,
        points: points.map((point) => ({ ...point, onFrontier: best.has(point.step) })),
      };
    });
  },
});
