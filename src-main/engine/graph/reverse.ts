/**
 * Reverse-mode differentiation as a transformation of the graph: walks the nodes from the loss back to the wanted values
 * and emits their gradients as more nodes. Un-broadcasting and adding up happen here and nowhere else. A node on the way
 * without a rule stops the build with the operator and the node named.
 *
 * Segments trade time for memory (gradient checkpointing, arXiv 1604.06174): what lies inside one is not kept for the
 * backward pass but computed a second time from its input, when its gradient has arrived.
 */
import { assert } from '../base/assert.ts';
import { broadcast, sameShape, showShape } from './dims.ts';
import { type Node, showValue, type Value } from './graph.ts';
import { type Contribution, type GradientRule, gradientRules, withoutGradient } from './gradients.ts';
import { add, cast, expand, filled, mul, reduceSum, reshape } from './ops.ts';

/** The nodes between a value and others that are made from it; nothing outside may read what lies between. */
export type Segment = { from: Value; to: readonly Value[] };

/**
 * Gradients of a scalar loss with respect to `wanted`, in that order, each of its value's shape. A value the loss does
 * not depend on gets zeros. The nodes of `segments`, which must not overlap, are run again on the way back.
 */
export function gradientsOf(loss: Value, wanted: readonly Value[], segments: readonly Segment[] = []): Value[] {
  assert(loss.shape.length === 0, `the loss must be a scalar, not ${showValue(loss)}`);
  const { graph } = loss;
  const forward = [...graph.nodes];
  const walk: Walk = {
    onPath: pathFrom(forward, wanted),
    widened: new Map(forward.filter(widens).map(({ inputs, outputs }) => [outputs[0], inputs[0]!])),
    pending: new Map([[loss, [filled(graph, loss.dtype, [], 1)]]]),
  };
  const within = new Map<Node, Segment>();
  const nodesOf = new Map(segments.map((segment) => [segment, nodesBetween(forward, segment)]));
  for (const [segment, nodes] of nodesOf) {
    for (const node of nodes) {
      assert(!within.has(node), `two segments hold the node that makes ${showValue(node.outputs[0])}`);
      within.set(node, segment);
    }
  }

  for (const node of forward.reverse()) {
    const segment = within.get(node);
    if (segment === undefined) stepBack(node, walk);
    else if (node === nodesOf.get(segment)!.at(-1)) runAgain(segment, nodesOf.get(segment)!, walk);
  }
  const { pending } = walk;
  return wanted.map((value) =>
    pending.has(value) ? total(value, pending) : filled(graph, value.dtype, value.shape, 0),
  );
}

/**
 * `onPath`: every value that depends on a wanted one; `pending`: the contributions that have arrived for a value; `widened`:
 * constants that are kept as halves, by what they were widened to on the way forward.
 */
type Walk = { onPath: Set<Value>; pending: Map<Value, Contribution[]>; widened: Map<Value, Value> };

/** Whether a node widens halves that are given from outside. */
function widens({ op, inputs: [half] }: Node): boolean {
  return op === 'Cast' && half?.dtype === 'float16' && half.graph.inputs.includes(half);
}

/** The same value for the way back; halves are widened once more, so that nothing widened is kept from the way forward. */
function onTheWayBack(value: Value | null, { widened }: Walk): Value | null {
  const half = value && widened.get(value);
  if (!half) return value;
  const again = cast(half, value.dtype);
  widened.set(again, half);
  return again;
}

/** Passes the gradient of a node's outputs on to its inputs. */
function stepBack(node: Node, walk: Walk): void {
  const { onPath, pending } = walk;
  if (withoutGradient.has(node.op)) return;
  if (!node.outputs.some((output) => pending.has(output) && onPath.has(output))) return;
  const rule = gradientRules[node.op] as GradientRule | undefined;
  assert(rule, `no gradient rule for operator ${node.op} (node that makes ${showValue(node.outputs[0])})`);
  const needed = node.inputs.map((input) => input !== null && onPath.has(input));
  const contributions = rule(
    { ...node, inputs: node.inputs.map((input) => onTheWayBack(input, walk)) },
    node.outputs.map((output) => total(output, pending)),
    needed,
  );
  assert(contributions.length <= Math.max(node.inputs.length, 3), `${node.op}: more gradients than inputs`);
  for (const [i, input] of node.inputs.entries()) {
    const contribution = contributions[i] ?? null;
    if (input === null || !needed[i] || contribution === null) continue;
    pending.set(input, [...(pending.get(input) ?? []), fit(contribution, input, node)]);
  }
}

/**
 * A segment's nodes once more, and back through them. Its input is added to 0 times the arriving gradient: without that
 * the runtime could run the copies at once, or see that they are copies.
 */
function runAgain({ from, to }: Segment, nodes: readonly Node[], walk: Walk): void {
  const { onPath, pending } = walk;
  const reached = to.filter((value) => pending.has(value) && onPath.has(value));
  if (reached.length === 0) return;
  const arrived = reached.map((value) => total(value, pending));
  const late = add(from, mul(reduceSum(arrived[0], undefined, false), 0));
  const copies = new Map<Value, Value>([[from, late]]);
  if (onPath.has(from)) onPath.add(late);
  const again = ancestorsAmong(nodes, reached).map((node) => copyNode(node, copies, walk));
  for (const [i, value] of reached.entries()) pending.set(copies.get(value)!, [arrived[i]]);
  for (const node of again.reverse()) stepBack(node, walk);
  if (pending.has(late)) pending.set(from, [...(pending.get(from) ?? []), total(late, pending)]);
}

/** The same node over copies of its inputs, where there are any; its outputs become copies of their own. */
function copyNode(node: Node, copies: Map<Value, Value>, walk: Walk): Node {
  const { onPath } = walk;
  const { graph } = node.outputs[0];
  const inputs = node.inputs.map((input) => input && (copies.get(input) ?? onTheWayBack(input, walk)));
  const outputs = graph.node(node.op, inputs, node.attributes, node.domain, node.known);
  for (const [i, output] of outputs.entries()) {
    copies.set(node.outputs[i], output);
    if (onPath.has(node.outputs[i])) onPath.add(output);
  }
  return graph.nodes.at(-1)!;
}

/** A segment's nodes in order: those that depend on its input and that one of its outputs depends on. */
function nodesBetween(forward: readonly Node[], { from, to }: Segment): Node[] {
  const after = pathFrom(forward, [from]);
  return ancestorsAmong(
    forward.filter((node) => node.inputs.some((input) => input !== null && after.has(input))),
    to,
  );
}

/** Those of the nodes that the values are made from, in order. */
function ancestorsAmong(nodes: readonly Node[], values: readonly Value[]): Node[] {
  const wanted = new Set(values);
  const found: Node[] = [];
  for (const node of [...nodes].reverse()) {
    if (!node.outputs.some((output) => wanted.has(output))) continue;
    found.push(node);
    for (const input of node.inputs) if (input !== null) wanted.add(input);
  }
  return found.reverse();
}

/** Every value that depends on a wanted one, the wanted ones included. */
function pathFrom(nodes: readonly Node[], wanted: readonly Value[]): Set<Value> {
  const onPath = new Set<Value>(wanted);
  for (const node of nodes) {
    if (node.inputs.some((input) => input !== null && onPath.has(input))) {
      for (const output of node.outputs) onPath.add(output);
    }
  }
  return onPath;
}

/** All contributions to one value added up: plain ones first, then those that add themselves in place; zeros for none. */
function total(value: Value, pending: Map<Value, Contribution[]>): Value {
  let sum: Value | null = null;
  const parts = pending.get(value) ?? [];
  for (const part of parts) if (part !== null && typeof part !== 'function') sum = sum === null ? part : add(sum, part);
  for (const part of parts) if (typeof part === 'function') sum = part(sum);
  sum ??= filled(value.graph, value.dtype, value.shape, 0);
  pending.set(value, [sum]);
  return sum;
}

/** Sums a contribution over the axes along which its input was broadcast, and spreads one that is the same along an axis. */
function fit(contribution: Contribution, input: Value, node: Node): Contribution {
  if (contribution === null || typeof contribution === 'function') return contribution;
  const extra = contribution.shape.length - input.shape.length;
  const axes = contribution.shape.flatMap((dim, i) =>
    i < extra || (input.shape[i - extra] === 1 && dim !== 1) ? [i] : [],
  );
  const summed = axes.length === 0 ? contribution : reduceSum(contribution, axes);
  const fitted = extra > 0 ? reshape(summed, summed.shape.slice(extra)) : summed;
  assert(
    sameShape(broadcast(fitted.shape, input.shape) ?? [], input.shape),
    `the gradient rule of ${node.op} gave ${showShape(contribution.shape)} for ${showValue(input)}`,
  );
  return expand(fitted, input.shape);
}
