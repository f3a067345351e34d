/** What changed from one text to another, line by line (longest common subsequence). Pure. */
export type DiffLine = { kind: 'same' | 'gone' | 'new'; text: string };

/** Tables of more cells than this are not made: the whole middle counts as replaced. */
const mostCells = 1_000_000;

export function lineDiff(before: string, after: string): DiffLine[] {
  const [a, b] = [before.split('\n'), after.split('\n')];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const lines = (kind: DiffLine['kind'], texts: string[]) => texts.map((text) => ({ kind, text }));
  return [
    ...lines('same', a.slice(0, start)),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...lines('same', a.slice(a.length - end)),
  ];
}

function middle(a: string[], b: string[]): DiffLine[] {
  // common[i][j]: the most lines in common of a from i and b from j
  const common = Array.from({ length: a.length + 1 }, () => new Uint32Array(a.length * b.length <= mostCells ? b.length + 1 : 0));
  if (common[0].length > 0) {
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
      }
    }
  }
  const found: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      found.push({ kind: 'same', text: a[i] });
      [i, j] = [i + 1, j + 1];
    } else if (i < a.length && (j === b.length || common[0].length === 0 || common[i + 1][j] >= common[i][j + 1])) {
      found.push({ kind: 'gone', text: a[i++] });
    } else found.push({ kind: 'new', text: b[j++] });
  }
  return found;
}
