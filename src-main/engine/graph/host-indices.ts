/**
 * Takes the whole-number part off a graph: lengths, shapes and spread indices, which follow from the feeds alone and are
 * computed here before the run. GPU providers of ONNX Runtime leave such nodes to the CPU in the middle of a run; without
 * them the rest of the graph stays on the device. What a node makes that is none of these (an ArgMax) stays where it is.
 */
import { assert } from '../base/assert.ts';
import { type Dim, factorOf, symbolsOf } from './dims.ts';
import type { Graph, Node, Value } from './graph.ts';

export type HostTensor = { shape: readonly number[]; data: unknown };
export type Indices = { shape: readonly number[]; data: BigInt64Array };

export type HostIndices = {
  /** the rest, with one input more for each value that it needs of the part taken off */
  graph: Graph;
  /** those inputs, from the feeds of the whole graph */
  compute(feeds: Readonly<Record<string, HostTensor>>): Record<string, Indices>;
};

type Rule = (node: Node, inputs: readonly HostTensor[]) => Indices;

const rules: Record<string, Rule> = {
  Concat({ attributes }, parts) {
    assert(attributes.axis === 0, 'indices are put one after the other');
    const data = BigInt64Array.from(parts.flatMap((part) => [...indices(part)]));
    const rows = parts.reduce((sum, { shape }) => sum + shape[0], 0);
    return { shape: [rows, ...parts[0].shape.slice(1)], data };
  },
  Mul(_, [a, b]) {
    const other = indices(b);
    return { shape: a.shape, data: indices(a).map((value, i) => value * other[i]) };
  },
  Reshape({ attributes }, [x, target]) {
    const asked = Array.from(indices(target), Number);
    const shape = asked.map((dim, i) => (dim === 0 && attributes.allowzero !== 1 ? x.shape[i] : dim));
    const known = shape.reduce((product, dim) => (dim < 0 ? product : product * dim), 1);
    return { shape: shape.map((dim) => (dim < 0 ? indices(x).length / known : dim)), data: indices(x) };
  },
  Range(_, [start, end, step]) {
    const [from, to, by] = [start, end, step].map((one) => Number(indices(one)[0]));
    const length = Math.max(0, Math.ceil((to - from) / by));
    return { shape: [length], data: BigInt64Array.from({ length }, (_, i) => BigInt(from + i * by)) };
  },
  Expand: (_, [x, target]) => spread(x, Array.from(indices(target), Number)),
};

function indices({ data }: HostTensor): BigInt64Array {
  assert(data instanceof BigInt64Array, 'an index that is no int64');
  return data;
}

/** x repeated along its axes of length 1; `target` has at least its rank. */
function spread(x: HostTensor, target: readonly number[]): Indices {
  const source = indices(x);
  const shape = [...target.slice(0, target.length - x.shape.length).map(() => 1), ...x.shape];
  const full = target.map((dim, i) => (shape[i] === 1 ? dim : shape[i]));
  const data = new BigInt64Array(full.reduce((product, dim) => product * dim, 1));
  const fill = (axis: number, from: number, to: number): void => {
    if (axis === full.length) {
      data[to] = source[from];
      return;
    }
    const step = shape.slice(axis + 1).reduce((product, dim) => product * dim, 1);
    const width = full.slice(axis + 1).reduce((product, dim) => product * dim, 1);
    // the last axes of an index are equal numbers: one native fill for all of them
    if (step === 1 && shape[axis] === 1) {
      data.fill(source[from], to, to + full[axis] * width);
      return;
    }
    for (let i = 0; i < full[axis]; i++) fill(axis + 1, from + (shape[axis] === 1 ? 0 : i * step), to + i * width);
  };
  if (data.length > 0) fill(0, 0, 0);
  return { shape: full, data };
}

/** Results of the graph are never taken off it. */
export function hostIndices(graph: Graph): HostIndices {
  const results = new Set(graph.outputs.map(({ value }) => value));
  const constants = graph.initializers.filter(({ value }) => value.dtype === 'int64');
  const known = new Set<Value | null>([...graph.inputs, ...constants.map(({ value }) => value)]);
  // lengths that can be read off a feed, or off what is computed here (that of a concatenation is none of its parts')
  const symbols = new Set(graph.inputs.flatMap(({ shape }) => shape));
  const measurable = ({ shape }: Value) => shape.every((dim) => symbolsOf(dim).every((symbol) => symbols.has(symbol)));
  const taken = new Set<Node>();
  for (const node of graph.nodes) {
    const [output] = node.outputs;
    if (output.dtype !== 'int64' || results.has(output)) continue;
    if (
      node.op === 'Shape'
        ? !measurable(node.inputs[0]!)
        : !(node.op in rules && node.inputs.every((one) => known.has(one)))
    )
      continue;
    taken.add(node);
    known.add(output);
    for (const dim of output.shape) symbols.add(dim);
  }
  const made = new Set<Value | null>([...taken].flatMap(({ outputs }) => outputs));
  const rest = graph.nodes.filter((node) => !taken.has(node));
  const needed = [...new Set(rest.flatMap(({ inputs }) => inputs))].filter((input) => made.has(input)) as Value[];
  return {
    graph: graph.part(rest, needed),
    compute(feeds) {
      const values = new Map<Value, HostTensor>(
        constants.map(({ value, data }) => [value, { shape: value.shape as number[], data }]),
      );
      const lengths = new Map<Dim, number>();
      for (const input of graph.inputs) {
        const fed = feeds[input.name];
        if (fed === undefined) continue;
        values.set(input, fed);
        for (const [i, dim] of input.shape.entries()) lengths.set(dim, fed.shape[i]);
      }
      for (const node of taken) {
        const inputs = node.inputs.map((input) => values.get(input as Value)!);
        const [output] = node.outputs;
        const value = node.op === 'Shape' ? measure(node, lengths) : rules[node.op](node, inputs);
        values.set(output, value);
        for (const [i, dim] of output.shape.entries()) lengths.set(dim, value.shape[i]);
      }
      return Object.fromEntries(needed.map((value) => [value.name, values.get(value) as Indices]));
    },
  };
}

function measure({ inputs: [value], attributes }: Node, lengths: ReadonlyMap<Dim, number>): Indices {
  const dims = value!.shape.slice(attributes.start as number | undefined, attributes.end as number | undefined);
  const part = dims.map((dim) =>
    symbolsOf(dim).reduce((product, symbol) => product * lengths.get(symbol)!, factorOf(dim)),
  );
  return { shape: [part.length], data: BigInt64Array.from(part, BigInt) };
}
