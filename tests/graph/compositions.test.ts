/**
 * Random compositions of operators on random shapes (rank 0 to 5, broadcasting, lengths 0 and 1): values against a tiny
 * float64 reference, gradients against finite differences along a random direction, and the same program with symbolic
 * lengths gives the same numbers.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkGraph } from '../../src-main/engine/graph/check.ts';
import { type Dim, productOf, type Shape } from '../../src-main/engine/graph/dims.ts';
import { type Graph, Graph as NewGraph, type Value } from '../../src-main/engine/graph/graph.ts';
import * as ops from '../../src-main/engine/graph/ops.ts';
import type { Session } from '../../src-main/engine/runtime/session.ts';
import * as reference from './ndarray.ts';
import type { NdArray } from './ndarray.ts';
import {
  addGradients,
  type Feeds,
  integers,
  numbersOf,
  randomTensor,
  relativeError,
  slopeAlong,
  withSession,
} from './numeric.ts';

/** A tensor of the graph and the array it must equal. */
type Pair = { value: Value; array: NdArray };

/** A program under construction. Decisions depend on lengths and on drawn numbers, never on whether lengths are symbols. */
type Program = {
  graph: Graph;
  feeds: Feeds;
  inputs: Value[];
  /** a length as the graph knows it */
  dim(length: number): Dim;
  /** a new random input */
  input(dims: Shape, lengths: readonly number[]): Pair;
  /** a whole number in [0, below) from the drawn ones */
  draw(below: number): number;
};

function newProgram(draws: readonly number[], symbolic: boolean): Program {
  let next = 0;
  const program: Program = {
    graph: new NewGraph('program'),
    feeds: {},
    inputs: [],
    // equal lengths are one symbol; 1 stays a number, because it may broadcast
    dim: (length) => (symbolic && length !== 1 ? `n${length}` : length),
    input(dims, lengths) {
      const name = `x${program.inputs.length}`;
      const value = program.graph.input(name, 'float64', dims);
      program.inputs.push(value);
      program.feeds[name] = randomTensor('float64', lengths, name);
      return { value, array: { shape: [...lengths], data: program.feeds[name].data as Float64Array } };
    },
    draw: (below) => (below <= 0 ? 0 : draws[next++ % draws.length] % below),
  };
  return program;
}

const unaries: [(x: Value) => Value, (x: number) => number][] = [
  [ops.neg, (x) => -x],
  [ops.abs, Math.abs],
  [ops.sigmoid, (x) => 1 / (1 + Math.exp(-x))],
  [(x) => ops.exp(ops.neg(ops.abs(x))), (x) => Math.exp(-Math.abs(x))],
];
const binaries: [(a: Value, b: Value) => Value, (a: number, b: number) => number][] = [
  [ops.add, (a, b) => a + b],
  [ops.sub, (a, b) => a - b],
  [ops.mul, (a, b) => a * b],
  [ops.minimum, Math.min],
  [ops.maximum, Math.max],
  [(a, b) => ops.div(a, ops.add(ops.mul(b, b), 1)), (a, b) => a / (b * b + 1)],
  [(a, b) => ops.where(ops.less(a, b), a, ops.neg(b)), (a, b) => (a < b ? a : -b)],
];
const sum = (list: number[]) => list.reduce((total, x) => total + x, 0);
const reductions: [typeof ops.reduceSum, (list: number[]) => number][] = [
  [ops.reduceSum, sum],
  [ops.reduceSumSquare, (list) => sum(list.map((x) => x * x))],
  // these two have no value for an empty list
  [ops.reduceMean, (list) => sum(list) / list.length],
  [ops.reduceMax, (list) => Math.max(...list)],
];

/** A partner that broadcasts with x: some leading axes gone or added, some lengths 1, lengths 1 of x made longer. */
function partner(p: Program, { value, array }: Pair): Pair {
  const dims: Dim[] = [...value.shape];
  const lengths = [...array.shape];
  for (const axis of lengths.keys()) {
    const choice = p.draw(4);
    const length = choice === 0 ? 1 : lengths[axis] === 1 && choice === 1 ? p.draw(4) : null;
    if (length === null) continue;
    lengths[axis] = length;
    dims[axis] = p.dim(length);
  }
  const cut = p.draw(3) === 0 ? p.draw(lengths.length + 1) : 0;
  if (cut === 0 && lengths.length < 5 && p.draw(3) === 0) return p.input([p.dim(2), ...dims], [2, ...lengths]);
  return p.input(dims.slice(cut), lengths.slice(cut));
}

type Step = (p: Program, x: Pair) => Pair;

const steps: Record<string, Step> = {
  unary(p, { value, array }) {
    const [onGraph, onNumber] = unaries[p.draw(unaries.length)];
    return { value: onGraph(value), array: reference.map(onNumber, array) };
  },
  binary(p, x) {
    const [onGraph, onNumber] = binaries[p.draw(binaries.length)];
    const y = partner(p, x);
    const [a, b] = p.draw(2) === 0 ? [x, y] : [y, x];
    return { value: onGraph(a.value, b.value), array: reference.map(onNumber, a.array, b.array) };
  },
  reduce(p, { value, array }) {
    const axes = array.shape.map((_, axis) => axis).filter(() => p.draw(2) === 0);
    const all = axes.length === 0;
    const reduced = all ? array.shape.map((_, axis) => axis) : axes;
    const empty = reduced.some((axis) => array.shape[axis] === 0);
    const [onGraph, onList] = reductions[p.draw(empty ? 2 : 4)];
    const keep = p.draw(2) === 0;
    return {
      value: onGraph(value, all ? undefined : axes, keep),
      array: reference.reduce(array, reduced, keep, onList),
    };
  },
  softmax(p, x) {
    const { value, array } = x;
    if (array.shape.length === 0) return steps.unary(p, x);
    const last = [array.shape.length - 1];
    const top = reference.reduce(array, last, true, (list) => Math.max(...list));
    const powers = reference.map((a, b) => Math.exp(a - b), array, top);
    return {
      value: ops.softmax(value),
      array: reference.map((a, b) => a / b, powers, reference.reduce(powers, last, true, sum)),
    };
  },
  matmul(p, x) {
    const { value, array } = x;
    if (array.shape.length < 2) return steps.binary(p, x);
    const { dims, lengths } = { dims: [...value.shape], lengths: [...array.shape] };
    for (let axis = 0; axis < lengths.length - 2; axis++) {
      // ONNX Runtime 1.30.0 does not broadcast a batch of length 0 in products
      if (p.draw(2) === 0 || lengths[axis] === 0) continue;
      dims[axis] = lengths[axis] = 1;
    }
    const columns = p.draw(4);
    const transposed = p.draw(2) === 0;
    const inner = [value.shape.at(-1) as Dim, array.shape.at(-1) as number] as const;
    const cut = lengths.slice(0, -2).includes(0) ? 0 : p.draw(lengths.length - 1);
    const [a, b] = transposed ? [columns, null] : [null, columns];
    const shapeOf = <T>(before: readonly T[], side: (n: number | null) => T) => [
      ...before.slice(cut, -2),
      side(a),
      side(b),
    ];
    const y = p.input(
      shapeOf<Dim>(dims, (n) => (n === null ? inner[0] : p.dim(n))),
      shapeOf<number>(lengths, (n) => n ?? inner[1]),
    );
    const rank = y.array.shape.length;
    const swap = y.array.shape.map((_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
    return {
      value: ops.matmul(value, y.value, { transposeB: transposed, scale: 0.5 }),
      array: reference.map(
        (z) => z / 2,
        reference.matmul(array, transposed ? reference.transpose(y.array, swap) : y.array),
      ),
    };
  },
  /** two neighbouring axes made one; a second time, the way back */
  merge(p, x) {
    const { value, array } = x;
    const rank = array.shape.length;
    if (rank < 2) return steps.unsqueeze(p, x);
    const axis = p.draw(rank - 1);
    const merged = <T>(shape: readonly T[], product: T) => [...shape.slice(0, axis), product, ...shape.slice(axis + 2)];
    const narrow = ops.reshape(value, merged<Dim>(value.shape, productOf(value.shape.slice(axis, axis + 2))));
    if (p.draw(2) === 0)
      return { value: ops.reshape(ops.neg(narrow), value.shape), array: reference.map((z) => -z, array) };
    const lengths = merged<number>(array.shape, array.shape[axis] * array.shape[axis + 1]);
    return { value: narrow, array: { shape: lengths, data: array.data } };
  },
  unsqueeze(p, x) {
    const { value, array } = x;
    if (array.shape.length >= 5) return steps.merge(p, x);
    const axis = p.draw(array.shape.length + 1);
    return {
      value: ops.reshape(value, value.shape.toSpliced(axis, 0, 1)),
      array: { shape: array.shape.toSpliced(axis, 0, 1), data: array.data },
    };
  },
  flatten: (_, { value, array }) => ({
    value: ops.reshape(value, [productOf(value.shape)]),
    array: { shape: [array.data.length], data: array.data },
  }),
  transpose(p, { value, array }) {
    const perm: number[] = [];
    for (const axis of array.shape.keys()) perm.splice(p.draw(axis + 1), 0, axis);
    return { value: ops.transpose(value, perm), array: reference.transpose(array, perm) };
  },
  /** parts joined, cut again elsewhere, and joined in another order */
  concatAndSplit(p, x) {
    const { value, array } = x;
    const rank = array.shape.length;
    if (rank === 0) return steps.unsqueeze(p, x);
    const axis = p.draw(rank);
    // never 1 in all: a symbol does not broadcast, whatever its length
    const length = array.shape[axis] < 2 ? 2 + p.draw(2) : p.draw(4);
    const y = p.input(value.shape.with(axis, p.dim(length)), array.shape.with(axis, length));
    const joined = ops.concat([value, y.value, value], axis - (p.draw(2) === 0 ? rank : 0));
    const all = reference.concat([array, y.array, array], axis);
    const total = all.shape[axis];
    if (typeof joined.shape[axis] === 'number') {
      const at = p.draw(total + 1);
      const [left, right] = ops.split(joined, [at, total - at], axis);
      return {
        value: ops.concat([right, left], axis),
        array: reference.concat([reference.slice(all, axis, at, total), reference.slice(all, axis, 0, at)], axis),
      };
    }
    p.draw(total + 1);
    const [, middle, right] = ops.split(joined, [value.shape[axis], y.value.shape[axis], value.shape[axis]], axis);
    const at = array.shape[axis];
    return {
      value: ops.concat([right, middle], axis),
      array: reference.concat([array, reference.slice(all, axis, at, at + length)], axis),
    };
  },
  gather(p, x) {
    const { value, array } = x;
    const rank = array.shape.length;
    if (rank === 0) return steps.unsqueeze(p, x);
    const axis = p.draw(rank);
    const room = array.shape[axis] === 0 ? [0] : [[], [3], [2, 2], [0]][p.draw(rank < 5 ? 4 : 2)];
    const rows = reference.generate(room, () => p.draw(array.shape[axis]));
    const name = `i${Object.keys(p.feeds).length}`;
    const indices = p.graph.input(name, 'int64', room.map(p.dim));
    p.feeds[name] = integers('int64', room, [...rows.data]);
    return { value: ops.gather(value, indices, axis), array: reference.gather(array, rows, axis) };
  },
};

type Draft = { lengths: number[]; steps: { name: string; draws: number[] }[] };

const drafts: fc.Arbitrary<Draft> = fc.record({
  lengths: fc.array(fc.constantFrom(0, 1, 1, 2, 2, 3, 3, 4), { maxLength: 5 }),
  steps: fc.array(
    fc.record({
      name: fc.constantFrom(...Object.keys(steps)),
      draws: fc.array(fc.nat(1000), { minLength: 12, maxLength: 12 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
});

function compose(draft: Draft, symbolic: boolean): { program: Program; result: Pair } {
  const draws = draft.steps.flatMap((step) => step.draws);
  const program = newProgram(draws, symbolic);
  let pair = program.input(draft.lengths.map(program.dim), draft.lengths);
  for (const { name } of draft.steps) {
    const next = steps[name](program, pair);
    // what grew too large for a fast test is left out
    if (next.array.data.length <= 500 && next.array.shape.length <= 5) pair = next;
  }
  addGradients(program.graph, pair.value, program.inputs);
  program.feeds.weights = randomTensor('float64', pair.array.shape, 'weights');
  return { program, result: pair };
}

async function checkValuesAndSlope(session: Session, { program, result }: ReturnType<typeof compose>): Promise<void> {
  const outputs = await session.run(program.feeds);
  assert.deepEqual(outputs.y.shape, result.array.shape);
  const error = relativeError(numbersOf(outputs.y), [...result.array.data]);
  assert.ok(error < 1e-12, `values are off by ${error}`);
  const directions: Feeds = {};
  let slope = 0;
  let scale = 1 + Math.abs(numbersOf(outputs.loss)[0]);
  for (const [i, input] of program.inputs.entries()) {
    const { shape } = program.feeds[input.name];
    assert.deepEqual(outputs[`g${i}`].shape, shape);
    directions[input.name] = randomTensor('float64', shape, `direction of ${input.name}`, [-1, 1]);
    const along = numbersOf(directions[input.name]);
    for (const [j, g] of numbersOf(outputs[`g${i}`]).entries()) {
      slope += g * along[j];
      scale += Math.abs(g * along[j]);
    }
  }
  const expected = await slopeAlong(session, program.feeds, directions, 1e-6);
  assert.ok(Math.abs(slope - expected) < 1e-7 * scale, `slope ${slope}, by differences ${expected}`);
}

const settings = { numRuns: 200, seed: 20260615 };

test('compositions have the values of the reference and the slopes of finite differences', async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(drafts, async (draft) => {
      const composed = compose(draft, false);
      for (const node of composed.program.graph.nodes) seen.add(node.op);
      checkGraph(composed.program.graph);
      await withSession(composed.program.graph, (session) => checkValuesAndSlope(session, composed));
    }),
    settings,
  );
  for (const op of ['Where', 'MatMul', 'Split', 'Concat', 'Gather', 'Expand', 'ReduceMax', 'Transpose', 'Softmax']) {
    assert.ok(seen.has(op), `no composition used ${op}`);
  }
});

test('symbolic lengths give the same numbers as fixed ones, lengths 0 included', async () => {
  await fc.assert(
    fc.asyncProperty(drafts, async (draft) => {
      const composed = compose(draft, true);
      checkGraph(composed.program.graph);
      await withSession(composed.program.graph, (session) => checkValuesAndSlope(session, composed));
    }),
    settings,
  );
});
