/**
 * Reverse-mode differentiation as a transformation of the graph: walks the nodes from the loss back to the wanted values
 * and emits their gradients as more nodes. Un-broadcasting and adding up happen here and nowhere else. A node on the way
 * without a rule stops the build with the operator and the node named.
 */
import { assert } from '../base/assert.ts';
import { broadcast, sameShape, showShape } from './dims.ts';
import { type Node, showValue, type Value } from './graph.ts';
import { type Contribution, type GradientRule, gradientRules, withoutGradient } from './gradients.ts';
import { add, expand, filled, reduceSum, reshape } from './ops.ts';

/**
 * Gradients of a scalar loss with respect to `wanted`, in that order, each of its value's shape. A value the loss does
 * not depend on gets zeros.
 */
export function gradientsOf(loss: Value, wanted: readonly Value[]): Value[] {
  assert(loss.shape.length === 0, `the loss must be a scalar, not ${showValue(loss)}`);
  const { graph } = loss;
  const forward = [...graph.nodes];
  const onPath = pathFrom(forward, wanted);
  const pending = new Map<Value, Contribution[]>([[loss, [filled(graph, loss.dtype, [], 1)]]]);

  for (const node of forward.reverse()) {
    if (withoutGradient.has(node.op)) continue;
    if (!node.outputs.some((output) => pending.has(output) && onPath.has(output))) continue;
    const rule = gradientRules[node.op] as GradientRule | undefined;
    assert(rule, `no gradient rule for operator ${node.op} (node that makes ${showValue(node.outputs[0])})`);
    const needed = node.inputs.map((input) => input !== null && onPath.has(input));
    const contributions = rule(
      node,
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
  return wanted.map((value) =>
    pending.has(value) ? total(value, pending) : filled(graph, value.dtype, value.shape, 0),
  );
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
