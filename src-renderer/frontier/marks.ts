/**
 * What is drawn of many points at once: one outline for all dots and one for all intervals, a dot only once where several fall
 * on one pixel; and which point lies under the pointer. Pure. Points of the frontier are not drawn here but one by one.
 */
/** up to so many points, each is a mark of its own */
export const fewPoints = 60;
/** pixels from the middle of a mark within which the pointer is on it */
export const reach = 11;

export type Place = { x: number; y: number };
export type Bars = Place & { left: number; right: number; top: number; bottom: number };

/** Circles of radius `r` about the places, rounded to whole pixels. */
export function dots(places: readonly Place[], r: number): string {
  const drawn = new Set<number>();
  let path = '';
  for (const place of places) {
    const x = Math.round(place.x);
    const y = Math.round(place.y);
    const pixel = y * 65536 + x;
    if (drawn.has(pixel)) continue;
    drawn.add(pixel);
    path += `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
  }
  return path;
}

/** Crosses of intervals; of those through one pixel the longest of each direction. */
export function crosses(bars: readonly Bars[]): string {
  const rows = new Map<number, [left: number, right: number]>();
  const columns = new Map<number, [top: number, bottom: number]>();
  for (const bar of bars) {
    const x = Math.round(bar.x);
    const y = Math.round(bar.y);
    const pixel = y * 65536 + x;
    const across = rows.get(pixel) ?? [x, x];
    const down = columns.get(pixel) ?? [y, y];
    rows.set(pixel, [Math.min(across[0], Math.round(bar.left)), Math.max(across[1], Math.round(bar.right))]);
    columns.set(pixel, [Math.min(down[0], Math.round(bar.top)), Math.max(down[1], Math.round(bar.bottom))]);
  }
  let path = '';
  for (const [pixel, [left, right]] of rows) {
    const [top, bottom] = columns.get(pixel)!;
    path += `M${left} ${Math.floor(pixel / 65536)}H${right}M${pixel % 65536} ${top}V${bottom}`;
  }
  return path;
}

/** The index of the nearest place within `reach` pixels of the pointer, the last of equal ones (it lies on top); null where none is. */
export function nearest(places: readonly Place[], pointer: Place, reach: number): number | null {
  let found: number | null = null;
  let best = reach * reach;
  places.forEach(({ x, y }, i) => {
    const distance = (x - pointer.x) ** 2 + (y - pointer.y) ** 2;
    if (distance <= best) [found, best] = [i, distance];
  });
  return found;
}
