/**
 * Drawing that does not hold up the window: what asks to be drawn waits for an animation frame, is drawn at most every
 * `restMs`, the last wish only, and a frame gives all of them no more than `budgetMs`; the rest follows in the next one. Clock and
 * frames are handed in.
 */
const budgetMs = 8;

type Draw = () => void;
type Key = object;
type Clock = { now(): number; frame(then: () => void): void };

/** A queue of its own; `wish` replaces what the same key asked for before, `forget` takes it back. */
export function frameQueue(restMs: number, clock: Clock): { wish(key: Key, draw: Draw): void; forget(key: Key): void } {
  const waiting = new Map<Key, Draw>();
  const drawnAt = new WeakMap<Key, number>();
  let scheduled = false;

  function schedule(): void {
    if (scheduled || waiting.size === 0) return;
    scheduled = true;
    clock.frame(frame);
  }
  function frame(): void {
    scheduled = false;
    const start = clock.now();
    for (const [key, draw] of waiting) {
      if (start - (drawnAt.get(key) ?? -Infinity) < restMs) continue;
      waiting.delete(key);
      draw();
      drawnAt.set(key, start);
      if (clock.now() - start >= budgetMs) break;
    }
    schedule();
  }
  return {
    wish(key, draw) {
      waiting.set(key, draw);
      schedule();
    },
    forget: (key) => void waiting.delete(key),
  };
}
