/** Rows of a long list that come in pages by the key of the last one, and which of them a scrolled box shows. Pure. */

export type Pages<Row> = { rows: Row[]; next: number | null; loaded: boolean };

export function noPages<Row>(): Pages<Row> {
  return { rows: [], next: null, loaded: false };
}

/** The list with one more page; a page that was asked twice is taken once. */
export function withPage<Row extends { key: number }>(
  pages: Pages<Row>,
  page: { rows: Row[]; next: number | null },
): Pages<Row> {
  const known = pages.rows.at(-1)?.key;
  if (known !== undefined && pages.rows.some(({ key }) => key === page.rows[0]?.key)) return pages;
  return { rows: [...pages.rows, ...page.rows], next: page.next, loaded: true };
}

/** Whether the next page is due: the visible rows come within `margin` of the end of what is there. */
export function wantsMore(pages: Pages<unknown>, lastVisible: number, margin = 40): boolean {
  return pages.loaded && pages.next !== null && lastVisible >= pages.rows.length - margin;
}

/** First and last + 1 of the rows to draw, with some more on both sides. Heights in px. */
export function visibleRange(
  scrollTop: number,
  boxHeight: number,
  rowHeight: number,
  count: number,
  overscan = 8,
): [number, number] {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - overscan);
  const last = Math.min(count, Math.ceil((scrollTop + boxHeight) / rowHeight) + overscan);
  return [Math.min(first, last), last];
}
