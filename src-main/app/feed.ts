/**
 * What the window is told, numbered. Feeds are sent in bunches, at most one bunch in `bunchMs`, so that an engine that
 * talks a hundred times a second costs the window twenty messages. Not here: what is worth telling.
 */
import type { ActiveRun, CallProgress, EngineState, Feed, Snapshot } from '../contract/window-api.ts';

/** A feed without its number. */
export type News = Feed extends infer F ? (F extends Feed ? Omit<F, 'sequence'> : never) : never;

export type FeedSource = {
  tell(news: News): void;
  snapshot(): Snapshot;
};

export const bunchMs = 50;
/** A window that was not drained for so long has missed too much: it is told to read anew instead. */
const mostWaiting = 2000;

/** `send` brings a bunch to the window; `later` calls back after so many milliseconds. */
export function feedSource(send: (feeds: Feed[]) => void, later: (done: () => void, ms: number) => void): FeedSource {
  let sequence = 0;
  let waiting: Feed[] = [];
  let scheduled = false;
  let engine: EngineState = { state: 'starting' };
  let active: ActiveRun | null = null;
  let progress: CallProgress | null = null;

  function flush(): void {
    scheduled = false;
    const bunch = waiting;
    waiting = [];
    if (bunch.length > 0) send(bunch);
  }

  return {
    tell(news) {
      if (news.kind === 'engine') engine = news.engine;
      if (news.kind === 'active') {
        active = news.active;
        if (active === null) progress = null;
      }
      if (news.kind === 'progress') {
        if (news.name === 'tune' || news.name === 'resume') progress = news.progress;
        // only the last of a bunch is news
        const last = waiting[waiting.length - 1];
        if (last?.kind === 'progress' && last.name === news.name) {
          waiting[waiting.length - 1] = { ...news, sequence: last.sequence };
          return;
        }
      }
      sequence++;
      waiting.push({ ...news, sequence } as Feed);
      if (waiting.length > mostWaiting) waiting = [{ kind: 'snapshot-needed', sequence }];
      if (scheduled) return;
      scheduled = true;
      later(flush, bunchMs);
    },
    snapshot: () => ({ sequence, engine, active, progress }),
  };
}
