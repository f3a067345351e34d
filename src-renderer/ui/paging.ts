/** Rows of a long list that come in pages by the key of the last one, and which of them a scrolled box shows. Pure. */

/** The rows stay in the pages they came in: one more costs no copy of those before. */
export type Pages<Row> = { pages: Row[][]; count: number; next: number | null; loaded: boolean };

export function noPages<Row>(): Pages<Row> {
  return { pages: [], count: 0, next: null, loaded: false };
}

/** The list with one more page; a page that was asked twice is taken once. */
export function withPage<Row extends { key: number }>(
  list: Pages<Row>,
  page: { rows: Row[]; next: number | null },
): Pages<Row> {
  const [first] = page.rows;
  if (first !== undefined && list.pages.some(([{ key }]) => key === first.key)) return list;
  const pages = first === undefined ? list.pages : [...list.pages, page.rows];
  return { pages, count: list.count + page.rows.length, next: page.next, loaded: true };
}

/** Rows `first` to `last` - 1; all without them. */
export function rowsOf<Row>({ pages, count }: Pages<Row>, first = 0, last = count): Row[] {
  const rows: Row[] = [];
  let start = 0;
  for (const page of pages) {
    if (start >= last) break;
    if (start + page.length > first) for (const row of page.slice(Math.max(0, first - start), last - start)) rows.push(row);
    start += page.length;
  }
  return rows;
}

/** Whether the next page is due: the visible rows come within `margin` of the end of what is there. */
export function wantsMore(pages: Pages<unknown>, lastVisible: number, margin = 40): boolean {
  return pages.loaded && pages.next !== null && lastVisible >= pages.count - margin;
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
