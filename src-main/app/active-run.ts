/**
 * The one run that computes, as the window sees it: from `tune` or `resume` to its end, with pause, stop and new prices
 * between, and what is left of it when the engine dies. A pause is a stop whose run is remembered: the step is finished
 * and saved, and `resume` goes on bit for bit. Not here: how the machine is kept awake (attendant.ts).
 */
import { ParetuneError } from '../contract/errors.ts';
import type { Json } from '../contract/records.ts';
import type { RunEvent } from '../contract/run-events.ts';
import type { ActiveRun } from '../contract/window-api.ts';
import type { Asked, Lane } from './engine-lane.ts';
import type { News } from './feed.ts';

export type RunKeeper = {
  /** Begins or goes on (`plannedSteps` of the run as stored); answers when it has started, rejects when it cannot. */
  begin(command: 'tune' | 'resume', payload: Json, plannedSteps?: number): Promise<{ runId: string }>;
  pause(): void;
  stop(): void;
  setPrices(prices: Record<string, number>): Promise<void>;
  active(): ActiveRun | null;
  /** whether something computes now */
  busy(): boolean;
  /** The run that died with the engine, and the step of its last checkpoint. Forgets it as active. */
  bury(): { runId: string; fromStep: number | null } | null;
};

export type RunKeeperOptions = {
  lane: Lane;
  tell(news: News): void;
  /** every event, before it is told */
  onEvent?(event: RunEvent): void;
  onChange?(active: ActiveRun | null): void;
};

export function runKeeper({ lane, tell, onEvent, onChange }: RunKeeperOptions): RunKeeper {
  let active: ActiveRun | null = null;
  let asked: Asked | null = null;
  let checkpoint: number | null = null;

  function become(next: ActiveRun | null): void {
    active = next;
    onChange?.(active);
    tell({ kind: 'active', active });
  }

  function follow(event: RunEvent): void {
    onEvent?.(event);
    if (event.kind === 'checkpoint') checkpoint = event.checkpoint.step;
    if (event.kind === 'resumed') checkpoint = event.fromStep;
    if (event.kind === 'step' && active !== null) become({ ...active, step: event.step });
    tell({ kind: 'event', event });
  }

  function ask(phase: 'pausing' | 'stopping'): void {
    if (active === null || asked === null || active.phase === 'paused') {
      // a paused run has nothing to finish
      if (phase === 'stopping' && active !== null) become(null);
      return;
    }
    become({ ...active, phase });
    asked.stop();
  }

  return {
    begin(command, payload, plannedSteps = 0) {
      if (asked !== null) {
        return Promise.reject(
          new ParetuneError('usage', `The run ${active?.runId ?? ''} is active: one at a time.`, {
            hint: 'Wait until it has ended, or pause or stop it.',
          }),
        );
      }
      checkpoint = null;
      become({ runId: '', phase: 'starting', step: 0, plannedSteps });
      return new Promise((resolve, reject) => {
        const mine = lane.ask(command, payload, {
          onProgress: (progress) => tell({ kind: 'progress', name: command, progress }),
          onEvent(event) {
            if (active?.phase === 'starting' || (active !== null && active.runId === '')) {
              const phase = active.phase === 'starting' ? 'running' : active.phase;
              const step = event.kind === 'resumed' ? event.fromStep : 0;
              const planned = event.kind === 'started' ? event.config.steps : active.plannedSteps;
              become({ runId: event.runId, phase, step, plannedSteps: planned });
              tell({ kind: 'changed', what: 'runs' });
              resolve({ runId: event.runId });
            }
            follow(event);
          },
        });
        asked = mine;
        const over = () => {
          if (asked !== mine) return;
          asked = null;
          // pausing: the run is remembered
          become(active?.phase === 'pausing' && active.runId !== '' ? { ...active, phase: 'paused' } : null);
          tell({ kind: 'changed', what: 'runs' });
        };
        mine.result.then(
          () => over(),
          (error: unknown) => {
            over();
            reject(error);
          },
        );
      });
    },
    pause: () => ask('pausing'),
    stop: () => ask('stopping'),
    async setPrices(prices) {
      if (active === null) throw new ParetuneError('usage', 'No run is active.', { hint: 'Start or resume one.' });
      await lane.ask('window-prices', { run: active.runId, prices }).result;
    },
    active: () => active,
    busy: () => asked !== null,
    bury() {
      const left =
        asked !== null && active !== null && active.runId !== '' ? { runId: active.runId, fromStep: checkpoint } : null;
      if (asked !== null) {
        asked = null;
        become(null);
      }
      return left;
    },
  };
}
