/** Where the window opens: where it was, as long as that is still on a screen. */
import type { WindowPlace } from './settings-file.ts';

export type Rectangle = { x: number; y: number; width: number; height: number };

export const firstSize = { width: 1280, height: 800 };
/** Pixels of the title bar that must be within reach. */
const reach = 100;

/** The place to open at; without x and y the system chooses. `screens` are the work areas. */
export function windowPlace(
  saved: WindowPlace | null,
  screens: readonly Rectangle[],
): { width: number; height: number; x?: number; y?: number } {
  if (saved === null) return firstSize;
  const { x, y, width, height } = saved;
  const visible = screens.some(
    (screen) =>
      Math.min(x + width, screen.x + screen.width) - Math.max(x, screen.x) >= reach &&
      y >= screen.y - 10 &&
      y <= screen.y + screen.height - reach / 2,
  );
  return visible ? { x, y, width, height } : { width, height };
}
