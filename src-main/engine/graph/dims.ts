/**
 * Dimensions of tensors that are known only by name. A dimension is a number or a product such as `2*B*T` of a factor and
 * symbols in alphabetical order, so that two equal dimensions are equal strings. A symbol may itself be opaque (`P+S`).
 */

export type Dim = number | string;
export type Shape = readonly Dim[];

function factors(dim: Dim): { factor: number; symbols: string[] } {
  if (typeof dim === 'number') return { factor: dim, symbols: [] };
  const parts = dim.split('*');
  const factor = /^\d+$/.test(parts[0]) ? Number(parts.shift()) : 1;
  return { factor, symbols: parts };
}

function fromFactors(factor: number, symbols: string[]): Dim {
  if (symbols.length === 0 || factor === 0) return factor;
  const product = [...symbols].sort().join('*');
  return factor === 1 ? product : `${factor}*${product}`;
}

/** The product of dimensions; 1 for none. */
export function productOf(dims: Shape): Dim {
  let factor = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    const parts = factors(dim);
    factor *= parts.factor;
    symbols.push(...parts.symbols);
  }
  return fromFactors(factor, symbols);
}

/** a / b where b divides a, symbol by symbol; null where it does not. */
export function quotientOf(a: Dim, b: Dim): Dim | null {
  const top = factors(a);
  const bottom = factors(b);
  const rest = [...top.symbols];
  for (const symbol of bottom.symbols) {
    const at = rest.indexOf(symbol);
    if (at < 0) return null;
    rest.splice(at, 1);
  }
  if (bottom.factor === 0 || top.factor % bottom.factor !== 0) return null;
  return fromFactors(top.factor / bottom.factor, rest);
}

/**
 * The length of a concatenation: a number, or one opaque symbol such as `P+S`. A product in it is written `(2·B)+S`, so
 * that it stays one symbol when it is a factor of further products.
 */
export function sumOf(dims: Shape): Dim {
  const parts = dims.filter((dim) => dim !== 0);
  if (parts.length === 1) return parts[0];
  if (parts.every((dim) => typeof dim === 'number'))
    return parts.reduce<number>((sum, dim) => sum + (dim as number), 0);
  const show = (dim: Dim) => (symbolsOf(dim).length > 1 || factorOf(dim) !== 1 ? `(${dim})`.replaceAll('*', '·') : dim);
  return parts.map((dim) => (typeof dim === 'number' ? dim : show(dim))).join('+');
}

/** The symbols a dimension is a product of. */
export function symbolsOf(dim: Dim): string[] {
  return factors(dim).symbols;
}

/** The number in front of a dimension's symbols. */
export function factorOf(dim: Dim): number {
  return factors(dim).factor;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** NumPy broadcasting of two shapes; null where they do not fit. A symbol fits itself and 1. */
export function broadcast(a: Shape, b: Shape): Dim[] | null {
  const rank = Math.max(a.length, b.length);
  const result: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x === y || y === 1) result.push(x);
    else if (x === 1) result.push(y);
    else return null;
  }
  return result;
}

export function showShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** An axis counted from the end (-1 is the last) as one counted from 0. */
export function positiveAxis(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}
