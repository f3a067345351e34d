/**
 * Which nodes a provider computes itself. A form is an operator with the types of its inputs; whether a provider has it was
 * found by one-node graphs with the CPU forbidden (`npm run probe-provider`), so a graph can be judged without a device.
 * What is unknown counts as missing.
 */
import { type DType, Graph, type Node, type Value } from '../graph/graph.ts';
import { loop } from '../graph/ops.ts';

export type Capabilities = { readonly runtimeVersion: string; readonly forms: Readonly<Record<string, boolean>> };

/** A node that would run on the CPU; `indices` are whole numbers only (lengths, positions), which cost nearly nothing. */
export type Fallback = { name: string; form: string; indices: boolean };

export function formOf({ op, domain, inputs, outputs, body }: Node): string {
  const types = inputs
    .slice(0, body?.operands)
    .map((input) => input?.dtype ?? '-')
    .join(', ');
  return `${domain === '' ? '' : `${domain}.`}${op}(${types}) -> ${outputs[0].dtype}`;
}

/** The nodes of a graph that the provider leaves to the CPU, by the name of what they make, in the graph's order. */
export function fallbacksOf(graph: Graph, { forms }: Capabilities): Fallback[] {
  const whole = (dtype: DType | undefined) => dtype === 'int64' || dtype === 'int32';
  return graph
    .everyNode()
    .filter((node) => forms[formOf(node)] !== true)
    .map((node) => ({
      name: node.outputs[0].name,
      form: formOf(node),
      indices: node.outputs.every(({ dtype }) => whole(dtype)),
    }));
}

/** One line on what a provider leaves to the CPU, for the user; at most five nodes by name. */
export function describeFallbacks(provider: string, graph: string, nodes: readonly Fallback[]): string {
  if (nodes.length === 0) {
    return `${provider} leaves nodes of the graph ${graph} to the CPU, none of those that it would leave to it alone: it has its own reasons, and may be slowed down.`;
  }
  const named = nodes.slice(0, 5).map(({ name, form }) => `${name} (${form})`);
  const more = nodes.length > named.length ? ` and ${nodes.length - named.length} more` : '';
  return `${provider} leaves ${nodes.length} nodes of the graph ${graph} to the CPU, which slows it down: ${named.join(', ')}${more}.`;
}

/** A graph of this node alone, a loop with nothing to repeat; what was a constant of the first graph stays one. */
export function oneNodeGraph(source: Graph, node: Node): Graph {
  const graph = new Graph(`${node.op} alone`);
  const constants = new Map(source.initializers.map((initializer) => [initializer.value.name, initializer]));
  const copies = new Map<string, Value>();
  const copy = ({ name, dtype, shape }: Value): Value => {
    const constant = constants.get(name);
    const made =
      copies.get(name) ??
      (constant ? graph.initializer(name, dtype, shape as number[], constant.data) : graph.input(name, dtype, shape));
    copies.set(name, made);
    return made;
  };
  if (node.body) {
    const [turns, , ...start] = node.inputs.slice(0, node.body.operands).map((input) => copy(input!));
    const goOn = graph.constant('bool', 1);
    const { carried } = loop(turns, start, 'made', (_, values) => ({ goOn, carried: values, collected: [] }));
    for (const [i, value] of carried.entries()) graph.output(`output${i}`, value);
    return graph;
  }
  const inputs = node.inputs.map((input) => input && copy(input));
  for (const [i, output] of graph.node(node.op, inputs, node.attributes, node.domain, node.known).entries())
    graph.output(`output${i}`, output);
  return graph;
}
