/** A graph as text, one line a node: for snapshots in tests and for reading with one's own eyes. */
import { showShape } from './dims.ts';
import { type Attribute, type Graph, type Node, showValue } from './graph.ts';

/** `y: float32[B, 4] = Gemm(x, w) transB=1` */
export function nodeText(node: Node): string {
  const outputs = node.outputs.map(showValue).join(', ');
  const inputs = node.inputs.map((input) => input?.name ?? '-').join(', ');
  const attributes = Object.entries(node.attributes).map(([name, value]) => ` ${name}=${attributeText(value)}`);
  return `${outputs} = ${node.op}(${inputs})${attributes.join('')}`;
}

/** Inputs, initializers, nodes and outputs in order. */
export function graphText(graph: Graph): string {
  return [
    `graph ${graph.name}`,
    ...graph.inputs.map((value) => `input ${showValue(value)}`),
    ...graph.initializers.map(({ value, data }) => `const ${showValue(value)}${smallContent(data)}`),
    ...graph.nodes.flatMap((node) =>
      node.body
        ? [
            nodeText(node),
            ...graphText(node.body.graph)
              .split('\n')
              .map((line) => `  ${line}`),
          ]
        : [nodeText(node)],
    ),
    ...graph.outputs.map(
      ({ name, value }) => `output ${name} = ${value.name}: ${value.dtype}${showShape(value.shape)}`,
    ),
  ].join('\n');
}

function attributeText(value: Attribute): string {
  if (typeof value === 'object' && 'float' in value) return String(value.float);
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
}

function smallContent(data: Graph['initializers'][number]['data']): string {
  if (!('BYTES_PER_ELEMENT' in data)) return ` @ ${data.location}:${data.offset}`;
  return data.length > 0 && data.length <= 8 ? ` = ${[...data].join(', ')}` : '';
}
