/**
 * What the system is told about a run: do not sleep while it computes, show how far it is, say when it has ended and
 * nobody looks.
 */
import type { RunEvent } from '../contract/run-events.ts';
import type { ActiveRun } from '../contract/window-api.ts';
import { appWords } from './words.ts';

/** What is used of Electron. */
export type AttendantSystem = {
  powerSaveBlocker: { start(type: 'prevent-app-suspension'): number; stop(id: number): unknown };
  /** a notification; `click` is called when the user chooses it */
  notify(notification: { title: string; body: string }, click: () => void): void;
  /** 0 to 1, -1 for none */
  setProgress(share: number): void;
  windowFocused(): boolean;
  showWindow(): void;
};

export type Attendant = { onChange(active: ActiveRun | null): void; onEvent(event: RunEvent): void };

export function runAttendant(system: AttendantSystem): Attendant {
  let blocker: number | null = null;
  return {
    onChange(active) {
      const computing = active !== null && active.phase !== 'paused';
      if (computing && blocker === null) blocker = system.powerSaveBlocker.start('prevent-app-suspension');
      if (!computing && blocker !== null) {
        system.powerSaveBlocker.stop(blocker);
        blocker = null;
      }
      system.setProgress(computing && active.plannedSteps > 0 ? active.step / active.plannedSteps : -1);
    },
    onEvent(event) {
      if (event.kind !== 'ended' || system.windowFocused()) return;
      // the user stopped it: no news
      if (event.status === 'stopped') return;
      const title = (event.status === 'failed' ? appWords.runFailed : appWords.runFinished)(event.runId);
      system.notify({ title, body: appWords.runEnded(event.step, event.reason) }, system.showWindow);
    },
  };
}
