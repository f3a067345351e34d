/** What is refused, when a graph is built and when a finished one is checked, and that the message names the place. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkGraph } from '../../src-main/engine/graph/check.ts';
import { type DType, Graph, type Node, type Value } from '../../src-main/engine/graph/graph.ts';
import * as ops from '../../src-main/engine/graph/ops.ts';

function inputs(...types: [DType, (number | string)[]][]): Value[] {
  const graph = new Graph('g');
  return types.map(([dtype, shape], i) => graph.input(`x${i}`, dtype, shape));
}
const floats = (...shapes: (number | string)[][]) =>
  inputs(...shapes.map((s): [DType, (number | string)[]] => ['float32', s]));

describe('building refuses', () => {
  const refused: [name: string, build: () => unknown, message: RegExp][] = [
    [
      'sides of two types',
      () => {
        const [a, b] = inputs(['float32', [2]], ['float64', [2]]);
        return ops.add(a, b);
      },
      /^Add\(x0: float32\[2\], x1: float64\[2\]\): both sides must have one type$/,
    ],
    [
      'shapes that do not broadcast',
      () => ops.mul(...pair([2, 3], ['B', 2])),
      /^Mul\(.*\[2, 3\].*\[B, 2\]\): shapes do not broadcast$/,
    ],
    [
      'a product with differing inner lengths',
      () => ops.matmul(...pair([2, 3], [4, 2])),
      /^MatMul\(.*inner dimensions 3 and 4 differ$/,
    ],
    ['a product of a vector', () => ops.matmul(...pair([3], [3, 2])), /^MatMul\(.*needs rank 2 or more$/],
    [
      'a Gemm whose added matrix is too large',
      () => {
        const [a, b, add] = floats([1, 2], [2, 3], [2, 3]);
        return ops.gemm(a, b, { add });
      },
      /^Gemm\(.*the added matrix does not broadcast to the product$/,
    ],
    [
      'a value of another graph',
      () => ops.add(floats([2])[0], floats([2])[0]),
      /^Add: a value of another graph was given$/,
    ],
    [
      'a reshape to another number of elements',
      () => ops.reshape(floats([2, 'B'])[0], ['B', 3]),
      /^Reshape\(x0: float32\[2, B\], .*\[B, 3\]: another number/,
    ],
    [
      'an expansion that shrinks',
      () => ops.expand(floats([2, 3])[0], [2, 1]),
      /^Expand\(.*does not broadcast to \[2, 1\]$/,
    ],
    [
      'a permutation with a repeated axis',
      () => ops.transpose(floats([2, 3])[0], [0, 0]),
      /^Transpose\(.*perm 0,0 does not fit$/,
    ],
    [
      'parts that differ outside the axis',
      () => ops.concat(pair([2, 3], [3, 3]), 1),
      /^Concat\(.*parts differ outside the axis$/,
    ],
    ['sizes that do not add up', () => ops.split(floats([5])[0], [2, 2], 0), /^Split\(.*sizes 2,2 do not add up to 5$/],
    ['float indices', () => ops.gather(...pair([4], [2])), /^Gather\(.*indices must be integers$/],
    [
      'an axis outside the rank',
      () => ops.reduceSum(floats([2])[0], [1]),
      /^ReduceSum\(.*axes 1 are outside the rank$/,
    ],
    ['an axis named twice', () => ops.reduceMax(floats([2, 2])[0], [1, -1]), /^ReduceMax\(.*name one axis twice$/],
    ['a reduction over no axis', () => ops.reduceSum(floats([2])[0], []), /^ReduceSum\(.*no axis is named/],
    [
      'a condition that is not a truth',
      () => {
        const [a, b] = pair([2], [2]);
        return ops.where(a, b, 0);
      },
      /^Where\(.*needs a bool and two tensors of one type$/,
    ],
    ['an operator on numbers alone', () => ops.add(1, 2), /^an operator needs at least one tensor$/],
    ['a logical operator on numbers', () => ops.not(floats([2])[0]), /^Not\(.*needs a bool$/],
    [
      'a norm weight of another length',
      () => ops.fusedRmsNorm(...pair([2, 4], [3]), 1e-5),
      /^SimplifiedLayerNormalization\(.*length of the last axis$/,
    ],
    [
      'an operator that the table does not know',
      () => floats([2])[0].graph.node('Erf', []),
      /operator Erf has no entry in the table/,
    ],
    [
      'a second value of one name',
      () => floats([2])[0].graph.input('x0', 'float32', []),
      /two values of graph g are called x0/,
    ],
    [
      'a length that nothing in the graph has',
      () => ops.filled(floats([2])[0].graph, 'float32', ['N'], 0),
      /nothing in graph g has the dimension N/,
    ],
    [
      'an output with the name of another value',
      () => {
        const [a, b] = pair([2], [2]);
        a.graph.output('x1', a);
        return b;
      },
      /output x1 has the name of another value/,
    ],
  ];
  for (const [name, build, message] of refused) {
    test(name, () => {
      assert.throws(build, (error: Error) => {
        assert.match(error.message.replace(/^internal: /, ''), message);
        return true;
      });
    });
  }
});

function pair(a: (number | string)[], b: (number | string)[]): [Value, Value] {
  return floats(a, b) as [Value, Value];
}

describe('a finished graph', () => {
  /** x [2, 3] -> exp -> sum over the rows */
  function sample(): Graph {
    const graph = new Graph('sample');
    const x = graph.input('x', 'float32', [2, 3]);
    graph.output('y', ops.reduceSum(ops.exp(x), [1]));
    return graph;
  }

  function replaceNode(graph: Graph, op: string, change: (node: Node) => Node): void {
    const i = graph.nodes.findIndex((node) => node.op === op);
    graph.nodes[i] = change(graph.nodes[i]);
  }

  test('passes as built', () => {
    const graph = sample();
    assert.equal(checkGraph(graph), graph);
  });

  test('with a node before the one it reads from is refused, naming both', () => {
    const graph = sample();
    graph.nodes.reverse();
    assert.throws(
      () => checkGraph(graph),
      /Exp_0: float32\[2, 3\] is used before it is made\n {2}in ReduceSum_\d+: .* = ReduceSum\(Exp_0/,
    );
  });

  test('with a wrong output shape is refused, showing the right one', () => {
    const graph = sample();
    replaceNode(graph, 'Exp', (node) => ({ ...node, outputs: [{ ...node.outputs[0], shape: [3, 2] }] }));
    assert.throws(
      () => checkGraph(graph),
      /output 0 is not as inferred: float32\[2, 3\]\n {2}in Exp_0: float32\[3, 2\] = Exp\(x\)/,
    );
  });

  test('with a wrong output type is refused', () => {
    const graph = sample();
    replaceNode(graph, 'Exp', (node) => ({ ...node, outputs: [{ ...node.outputs[0], dtype: 'float64' }] }));
    assert.throws(() => checkGraph(graph), /not as inferred: float32\[2, 3\]\n {2}in Exp_0: float64/);
  });

  test('with an output too many is refused', () => {
    const graph = sample();
    replaceNode(graph, 'Exp', (node) => ({ ...node, outputs: [node.outputs[0], node.outputs[0]] }));
    assert.throws(() => checkGraph(graph), /has 2 outputs, not 1\n {2}in .*Exp/);
  });

  test('with an input of a wrong shape is refused by the operator, naming the node', () => {
    const graph = new Graph('g');
    const a = graph.input('a', 'float32', [2, 3]);
    const b = graph.input('b', 'float32', [3, 4]);
    graph.output('y', ops.matmul(a, b));
    replaceNode(graph, 'MatMul', (node) => ({ ...node, inputs: [b, a] }));
    assert.throws(() => checkGraph(graph), /MatMul\(b: .*inner dimensions 4 and 2 differ\n {2}in MatMul_0: /);
  });

  test('whose reduced axes differ from what the axes tensor holds is refused', () => {
    const graph = sample();
    replaceNode(graph, 'ReduceSum', (node) => ({ ...node, inputs: [node.inputs[0], graph.constant('int64', [0])] }));
    assert.throws(() => checkGraph(graph), /axes 1 are not what its second input holds\n {2}in ReduceSum_\d+/);
  });

  test('with an output that no node makes is refused', () => {
    const graph = sample();
    graph.nodes.pop();
    assert.throws(() => checkGraph(graph), /output y of graph sample is made by no node/);
  });
});
