/**
 * The one run that computes, as the window sees it: from `tune` or `resume` to its end, with pause, stop and new prices
 * between, and what becomes of it when the engine dies or its GPU is lost: it goes on by itself where the user chose that
 * (contract/rescue.ts), else the window is told what is left. A pause is a stop whose run is remembered: the step is
 * finished and saved, and `resume` goes on bit for bit. Not here: how the machine is kept awake (attendant.ts).
 */
import { ParetuneError } from '../contract/errors.ts';
import type { Json } from '../contract/records.ts';
import { describeRescue, type Rescue, type RescueSettings, rescueOf } from '../contract/rescue.ts';
import type { RunEvent } from '../contract/run-events.ts';
import type { ActiveRun, ErrorRecord } from '../contract/window-api.ts';
import type { Asked, Death, Lane } from './engine-lane.ts';
import type { News } from './feed.ts';
import { appWords } from './words.ts';

export type RunKeeper = {
  /** Begins or goes on (`plannedSteps` of the run as stored); answers when it has started, rejects when it cannot. */
  begin(command: 'tune' | 'resume', payload: Json, plannedSteps?: number): Promise<{ runId: string }>;
  pause(): void;
  stop(): void;
  setPrices(prices: Record<string, number>): Promise<void>;
  active(): ActiveRun | null;
  /** whether something computes now */
  busy(): boolean;
  /** The engine died, and the run with it. Tells the window, and begins the run again where it is to go on by itself. */
  died(death: Death): void;
};

/** A run that was cut short: where its last checkpoint is, and how it goes on by itself, null where it does not. */
type Left = { runId: string; fromStep: number | null; plannedSteps: number; rescue: Rescue | null };

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
  let settings: RescueSettings | null = null;

  function become(next: ActiveRun | null): void {
    active = next;
    onChange?.(active);
    tell({ kind: 'active', active });
  }

  function follow(event: RunEvent): void {
    onEvent?.(event);
    if (event.kind === 'checkpoint') checkpoint = event.checkpoint.step;
    if (event.kind === 'started') settings = event.config;
    if (event.kind === 'resumed') checkpoint = event.fromStep;
    if (event.kind === 'resumed' && active !== null) become({ ...active, step: event.fromStep });
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

  /** What is left of the run if it ends here; one that the user pauses or stops is not begun again. */
  function cutShort(): Left | null {
    if (asked === null || active === null || active.runId === '') return null;
    const { runId, phase, plannedSteps } = active;
    const mayGoOn = phase === 'running' && checkpoint !== null && settings !== null;
    return { runId, fromStep: checkpoint, plannedSteps, rescue: mayGoOn ? rescueOf(settings!) : null };
  }

  const tellGone = (reason: string, hint: string, resume: Left | null) =>
    tell({ kind: 'engine', engine: { state: 'gone', reason, hint, resume: resume && resumable(resume) } });

  function goOn(left: Left, rescue: Rescue, reason: string): void {
    const after = `${reason} ${appWords.goesOn(describeRescue(rescue), left.fromStep ?? 0)}`;
    tell({ kind: 'engine', engine: { state: 'starting' } });
    keeper
      .begin('resume', { run: left.runId, ...rescue, after }, left.plannedSteps)
      .catch((error: ErrorRecord) => tellGone(reason, error.message, left));
  }

  const keeper: RunKeeper = {
    begin(command, payload, plannedSteps = 0) {
      if (asked !== null) {
        return Promise.reject(
          new ParetuneError('usage', `The run ${active?.runId ?? ''} is active: one at a time.`, {
            hint: 'Wait until it has ended, or pause or stop it.',
          }),
        );
      }
      checkpoint = null;
      settings = null;
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
          async (error: ErrorRecord) => {
            const left = asked === mine && error.code === 'device' ? cutShort() : null;
            over();
            reject(error);
            if (left === null || left.rescue === null) return;
            // a lost device does not come back within its process
            await lane.end(0);
            goOn(left, left.rescue, error.message);
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
    died({ reason, memory, asked: inOrder, output }) {
      const left = cutShort();
      if (asked !== null) {
        asked = null;
        become(null);
      }
      if (inOrder) return;
      const gone = appWords.engineGone(reason);
      const lastWords = output.trim().split('\n').slice(-3).join('\n');
      if (left !== null && left.rescue !== null) goOn(left, left.rescue, gone);
      else tellGone(gone, memory ? appWords.smallerBatch : lastWords, left);
    },
  };
  return keeper;
}

function resumable({ runId, fromStep }: Left): { runId: string; fromStep: number | null } {
  return { runId, fromStep };
}
