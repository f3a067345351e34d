/**
 * Counts how long the engine has given no sign of life. It counts ticks of the caller's timer, never the clock, so that a
 * machine that slept has not been silent; and only while somebody waits for an answer.
 */

/** Before its first sign of life a process has at least this long: a busy machine may take a while to start one. */
const startMs = 120_000;

export type Watchdog = {
  /** milliseconds of silence so far */
  silentMs(): number;
  alive(): void;
  /** One tick later: `quiet` once, at half of the limit; `lost` from the limit on. */
  tick(waiting: boolean): 'ok' | 'quiet' | 'lost';
};

export function makeWatchdog(limitMs: number, tickMs: number): Watchdog {
  let silent = 0;
  let limit = Math.max(limitMs, startMs);
  return {
    silentMs: () => silent,
    alive() {
      silent = 0;
      limit = limitMs;
    },
    tick(waiting) {
      const before = silent;
      silent = waiting ? silent + tickMs : 0;
      if (silent >= limit) return 'lost';
      return silent >= limit / 2 && before < limit / 2 ? 'quiet' : 'ok';
    },
  };
}
