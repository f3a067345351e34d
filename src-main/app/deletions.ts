/**
 * Deleting a run with a way back: for a while it is only out of sight, then its rows and files are removed for good. What
 * cannot be removed now (a run holds the database) is tried again; what the app's end interrupts is remembered on disk.
 */
import { ParetuneError } from '../contract/errors.ts';
import type { Lane } from './engine-lane.ts';
import type { SettingsFile } from './settings-file.ts';

export const undoSeconds = 15;

export type Deletions = {
  /** returns the seconds in which it can be undone */
  mark(run: string): number;
  /** Error `not-found` where it is too late */
  undo(run: string): void;
  pending(run: string): boolean;
  /** removes for good what is marked, now; at the end of the app and at its start */
  finish(): Promise<void>;
};

export function deletions(
  lane: Lane,
  settings: Pick<SettingsFile, 'get' | 'set'>,
  later: (done: () => void, ms: number) => void,
): Deletions {
  const marked = new Map(settings.get().deletedRuns.map((run) => [run, 0]));
  let nextMark = 1;
  const save = () => settings.set({ deletedRuns: [...marked.keys()] });

  const removing = new Set<string>();

  async function remove(run: string): Promise<void> {
    removing.add(run);
    try {
      await lane.ask('window-delete', { run }).result;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code !== 'not-found') {
        later(() => marked.has(run) && void remove(run), 60_000);
        return;
      }
    } finally {
      removing.delete(run);
    }
    marked.delete(run);
    save();
  }

  return {
    mark(run) {
      const mark = nextMark++;
      marked.set(run, mark);
      save();
      later(() => marked.get(run) === mark && void remove(run), undoSeconds * 1000);
      return undoSeconds;
    },
    undo(run) {
      if (!marked.has(run) || removing.has(run)) {
        throw new ParetuneError('not-found', `The run ${run} is deleted for good already.`, {
          hint: `A deletion can be undone for ${undoSeconds} seconds.`,
        });
      }
      marked.delete(run);
      save();
    },
    pending: (run) => marked.has(run),
    async finish() {
      for (const run of [...marked.keys()]) await remove(run);
    },
  };
}
