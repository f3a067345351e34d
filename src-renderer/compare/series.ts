/** How the runs of a comparison are told apart: a colour and a mark each. Pure. */
export function seriesColor(index: number): string {
  return `var(--series-${(index % 5) + 1})`;
}

/** The outline of a mark about a place: circle, square, diamond, triangle, cross. */
export function mark(index: number, x: number, y: number, r = 4): string {
  const at = `M${x.toFixed(1)} ${y.toFixed(1)}`;
  return [
    `${at}m${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
    `${at}m${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
    `${at}m0 ${-r - 1}l${r + 1} ${r + 1}l${-r - 1} ${r + 1}l${-r - 1} ${-r - 1}z`,
    `${at}m0 ${-r - 1}l${r + 1} ${2 * r}h${-2 * r - 2}z`,
    `${at}m${-r} ${-r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`,
  ][index % 5];
}
