/** The value of a style variable as a colour that a canvas or a file understands: light or dark is decided. */
export function colorOf(node: HTMLElement, name: string): string {
  const before = node.style.color;
  node.style.color = `var(${name})`;
  const color = getComputedStyle(node).color;
  node.style.color = before;
  return color;
}
