/**
 * Checks a whole finished graph against the operator table: nodes in topological order, every type and shape as inferred,
 * what a constant input holds as the builder said. Thirty lines that make every later bug smaller.
 */
import { sameShape, showShape } from './dims.ts';
import type { Graph, Node, Value } from './graph.ts';
import { showValue } from './graph.ts';
import { inferOutputs, type TensorType } from './infer.ts';
import { nodeText } from './text.ts';

type Constants = ReadonlyMap<Value, Graph['initializers'][number]['data']>;

/** Throws an error that shows the first offending node; returns the graph, so that it can stand in a chain. */
export function checkGraph(graph: Graph): Graph {
  const constants = new Map(graph.initializers.map(({ value, data }) => [value, data]));
  return checkNodes(graph, new Set(constants.keys()), constants);
}

/** `made`: what stands ready before the first node. */
function checkNodes(graph: Graph, made: ReadonlySet<Value>, constants: Constants): Graph {
  const known = new Set<Value>([...made, ...graph.inputs]);
  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      if (input !== null && !known.has(input)) fail(node, `${showValue(input)} is used before it is made`);
    }
    const types = typesOf(node);
    if (types.length !== node.outputs.length) fail(node, `has ${node.outputs.length} outputs, not ${types.length}`);
    for (const [i, output] of node.outputs.entries()) {
      if (output.dtype !== types[i].dtype || !sameShape(output.shape, types[i].shape))
        fail(node, `output ${i} is not as inferred: ${types[i].dtype}${showShape(types[i].shape)}`);
      known.add(output);
    }
    checkAxes(node, constants);
    if (node.body) checkNodes(node.body.graph, known, constants);
  }
  for (const { name, value } of graph.outputs) {
    if (!known.has(value)) throw new Error(`internal: output ${name} of graph ${graph.name} is made by no node`);
  }
  return graph;
}

function typesOf(node: Node): TensorType[] {
  try {
    return inferOutputs(node);
  } catch (error) {
    fail(node, (error as Error).message);
  }
}

/** Reduced axes are told twice, as a tensor for the runtime and as numbers for the builder: they must agree. */
function checkAxes(node: Node, constants: Constants): void {
  const told = node.op.startsWith('Reduce') ? node.known.axes : undefined;
  const held = node.inputs[1] ? constants.get(node.inputs[1]) : undefined;
  if (
    told &&
    !(held instanceof BigInt64Array && told.length === held.length && told.every((axis, i) => axis === Number(held[i])))
  ) {
    fail(node, `axes ${told} are not what its second input holds`);
  }
}

function fail(node: Node, message: string): never {
  throw new Error(`internal: ${message}\n  in ${nodeText(node)}`);
}
