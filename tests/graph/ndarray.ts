/**
 * A tiny float64 reference for the property tests: arrays of any rank, every operation written from its definition, one
 * element at a time. Slow on purpose: nothing here is shared with the graphs it judges.
 */

export type NdArray = { shape: number[]; data: Float64Array };

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

/** The array whose element at an index is `element(index)`. */
export function generate(shape: readonly number[], element: (index: number[]) => number): NdArray {
  const data = Float64Array.from({ length: sizeOf(shape) }, (_, flat) => {
    const index: number[] = [];
    let rest = flat;
    for (const length of [...shape].reverse()) {
      index.unshift(rest % length);
      rest = Math.floor(rest / length);
    }
    return element(index);
  });
  return { shape: [...shape], data };
}

/** The element at an index, which may be longer than the rank and runs over axes of length 1 (broadcasting). */
export function at(x: NdArray, index: readonly number[]): number {
  const own = index.slice(index.length - x.shape.length);
  const flat = own.reduce((sum, i, axis) => sum * x.shape[axis] + (x.shape[axis] === 1 ? 0 : i), 0);
  return x.data[flat];
}

function broadcastShape(arrays: readonly NdArray[]): number[] {
  const rank = Math.max(...arrays.map((x) => x.shape.length));
  return Array.from({ length: rank }, (_, i) => {
    const lengths = arrays.map((x) => x.shape[i - rank + x.shape.length] ?? 1);
    return lengths.find((length) => length !== 1) ?? 1;
  });
}

export function map(f: (...values: number[]) => number, ...arrays: NdArray[]): NdArray {
  return generate(broadcastShape(arrays), (index) => f(...arrays.map((x) => at(x, index))));
}

/** `f` of the elements along the axes, which stay as length 1 or go. */
export function reduce(x: NdArray, axes: readonly number[], keep: boolean, f: (values: number[]) => number): NdArray {
  const inner = x.shape.map((length, i) => (axes.includes(i) ? length : 1));
  const outer = x.shape.map((length, i) => (axes.includes(i) ? 1 : length));
  const reduced = generate(outer, (index) => {
    const values: number[] = [];
    generate(inner, (offset) =>
      values.push(
        at(
          x,
          index.map((i, axis) => i + offset[axis]),
        ),
      ),
    );
    return f(values);
  });
  return keep ? reduced : { shape: x.shape.filter((_, i) => !axes.includes(i)), data: reduced.data };
}

export function matmul(a: NdArray, b: NdArray): NdArray {
  const batch = broadcastShape([a, b].map((x) => ({ ...x, shape: x.shape.slice(0, -2) })));
  const inner = a.shape.at(-1) as number;
  return generate([...batch, a.shape.at(-2) as number, b.shape.at(-1) as number], (index) => {
    const [row, column] = index.slice(-2);
    const before = index.slice(0, -2);
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += elementOf(a, before, row, k) * elementOf(b, before, k, column);
    return sum;
  });
}

/** As `at`, but the two last axes are never broadcast. */
function elementOf(x: NdArray, batch: number[], row: number, column: number): number {
  const index = batch.slice(batch.length - (x.shape.length - 2)).map((i, axis) => (x.shape[axis] === 1 ? 0 : i));
  return x.data[[...index, row, column].reduce((sum, i, axis) => sum * x.shape[axis] + i, 0)];
}

export function transpose(x: NdArray, perm: readonly number[]): NdArray {
  return generate(
    perm.map((axis) => x.shape[axis]),
    (index) =>
      at(
        x,
        x.shape.map((_, axis) => index[perm.indexOf(axis)]),
      ),
  );
}

export function concat(parts: readonly NdArray[], axis: number): NdArray {
  const lengths = parts.map((part) => part.shape[axis]);
  const shape = parts[0].shape.map((n, i) => (i === axis ? lengths.reduce((sum, length) => sum + length, 0) : n));
  return generate(shape, (index) => {
    let part = 0;
    let i = index[axis];
    while (i >= lengths[part]) i -= lengths[part++];
    return at(parts[part], index.with(axis, i));
  });
}

export function slice(x: NdArray, axis: number, from: number, to: number): NdArray {
  return generate(x.shape.with(axis, to - from), (index) => at(x, index.with(axis, index[axis] + from)));
}

export function gather(x: NdArray, indices: NdArray, axis: number): NdArray {
  const rank = indices.shape.length;
  return generate([...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)], (index) => {
    const i = at(indices, index.slice(axis, axis + rank));
    return at(x, [...index.slice(0, axis), i, ...index.slice(axis + rank)]);
  });
}
