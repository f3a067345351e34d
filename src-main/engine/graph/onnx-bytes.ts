/**
 * A graph as the bytes of an ONNX ModelProto (opset 21, IR version 10). Field numbers: onnx/onnx.proto of ONNX 1.17.
 * Weights given as ExternalData stay in their file; a model must stay below protobuf's 2 GiB, which only inline weights
 * could reach.
 */
import { assert } from '../base/assert.ts';
import type { Attribute, Graph, Initializer, Node, TensorData, Value } from './graph.ts';
import { dtypeNumbers } from './infer.ts';

/** A protobuf message under construction: a list of chunks and their summed length. */
class Message {
  readonly chunks: Uint8Array[] = [];
  length = 0;

  #raw(bytes: Uint8Array): this {
    this.chunks.push(bytes);
    this.length += bytes.length;
    return this;
  }

  #varint(value: number | bigint): this {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, BigInt(value));
    do {
      const low = Number(rest & 127n);
      rest >>= 7n;
      bytes.push(rest === 0n ? low : low | 128);
    } while (rest !== 0n);
    return this.#raw(Uint8Array.from(bytes));
  }

  integer(field: number, value: number | bigint): this {
    return this.#varint(field << 3).#varint(value);
  }

  float(field: number, value: number): this {
    return this.#varint((field << 3) | 5).#raw(new Uint8Array(Float32Array.of(value).buffer));
  }

  bytes(field: number, bytes: Uint8Array): this {
    return this.#varint((field << 3) | 2)
      .#varint(bytes.length)
      .#raw(bytes);
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, message: Message): this {
    this.#varint((field << 3) | 2).#varint(message.length);
    for (const chunk of message.chunks) this.#raw(chunk);
    return this;
  }

  finish(): Uint8Array {
    const result = new Uint8Array(this.length);
    let at = 0;
    for (const chunk of this.chunks) {
      result.set(chunk, at);
      at += chunk.length;
    }
    return result;
  }
}

export type OnnxOptions = {
  /** written as producer_name, for people who open the file */
  producer?: string;
  /** version of the standard operators, 21 unless told otherwise; 19 has all that our graphs use */
  opset?: 19 | 21;
  /** key and value pairs in the model's metadata */
  metadata?: Record<string, string>;
};

/** The ONNX file of a graph. Nodes that lead to no output are left out. */
export function onnxBytes(graph: Graph, options: OnnxOptions = {}): Uint8Array {
  const model = new Message()
    .integer(1, 10)
    .text(2, options.producer ?? 'paretune')
    .message(7, graphMessage(graph));
  model.message(8, new Message().text(1, '').integer(2, options.opset ?? 21));
  model.message(8, new Message().text(1, 'com.microsoft').integer(2, 1));
  for (const [key, value] of Object.entries(options.metadata ?? {})) {
    model.message(14, new Message().text(1, key).text(2, value));
  }
  assert(model.length < 2 ** 31, `the graph ${graph.name} exceeds 2 GiB: its weights must be external`);
  return model.finish();
}

/** `outerName`: what a value of the graphs around a body is called there. */
function graphMessage(graph: Graph, outerName = (value: Value) => value.name): Message {
  const body = new Message();
  const nodes = reachable(graph);
  const used = new Set(nodes.flatMap((node) => node.inputs));
  const outputNames = new Map(graph.outputs.map(({ name, value }) => [value, name]));
  const made = new Set(nodes.flatMap((node) => node.outputs));
  const nameOf = (value: Value) => {
    if (made.has(value)) return outputNames.get(value) ?? value.name;
    return value.graph === graph ? value.name : outerName(value);
  };
  for (const node of nodes) body.message(1, nodeMessage(node, nameOf));
  // an output that is also an input, or is named twice, needs a node of its own
  for (const { name, value } of graph.outputs) {
    if (nameOf(value) !== name) body.message(1, new Message().text(1, nameOf(value)).text(2, name).text(4, 'Identity'));
  }
  body.text(2, graph.name);
  for (const initializer of graph.initializers) {
    if (used.has(initializer.value) || outputNames.has(initializer.value)) body.message(5, tensorMessage(initializer));
  }
  for (const input of graph.inputs) body.message(11, valueMessage(input.name, input));
  for (const { name, value } of graph.outputs) body.message(12, valueMessage(name, value));
  return body;
}

function reachable(graph: Graph): Node[] {
  const wanted = new Set<Value | null>(graph.outputs.map((output) => output.value));
  const kept: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => wanted.has(output))) continue;
    for (const input of node.inputs) wanted.add(input);
    kept.push(node);
  }
  return kept.reverse();
}

function nodeMessage(node: Node, nameOf: (value: Value) => string): Message {
  const message = new Message();
  for (const input of node.inputs.slice(0, node.body?.operands)) message.text(1, input === null ? '' : nameOf(input));
  for (const output of node.outputs) message.text(2, nameOf(output));
  message.text(3, node.outputs[0].name).text(4, node.op);
  for (const [name, value] of Object.entries(node.attributes)) message.message(5, attributeMessage(name, value));
  if (node.body) {
    const body = graphMessage(node.body.graph, nameOf);
    message.message(5, new Message().text(1, 'body').message(6, body).integer(20, 5));
  }
  return node.domain === '' ? message : message.text(7, node.domain);
}

function attributeMessage(name: string, value: Attribute): Message {
  const message = new Message().text(1, name);
  if (typeof value === 'number') return message.integer(3, value).integer(20, 2);
  if (typeof value === 'string') return message.text(4, value).integer(20, 3);
  if ('float' in value) return message.float(2, value.float).integer(20, 1);
  for (const item of value) message.integer(8, item);
  return message.integer(20, 7);
}

function tensorMessage({ value, data }: Initializer): Message {
  const message = new Message();
  for (const dim of value.shape) message.integer(1, dim as number);
  message.integer(2, dtypeNumbers[value.dtype]).text(8, value.name);
  if (isTensorData(data)) return message.bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  for (const [key, content] of Object.entries(data)) {
    message.message(13, new Message().text(1, key).text(2, String(content)));
  }
  return message.integer(14, 1);
}

function isTensorData(data: Initializer['data']): data is TensorData {
  return ArrayBuffer.isView(data);
}

function valueMessage(name: string, value: Value): Message {
  const shape = new Message();
  for (const dim of value.shape) {
    shape.message(1, typeof dim === 'number' ? new Message().integer(1, dim) : new Message().text(2, dim));
  }
  const tensor = new Message().integer(1, dtypeNumbers[value.dtype]).message(2, shape);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}
