/**
 * A tiny reader of ONNX files, independent of the writer: the protobuf wire format, and the field numbers of
 * onnx/onnx.proto that the tests look at.
 */

type Field = number | bigint | Uint8Array;
type Fields = Map<number, Field[]>;

function parse(bytes: Uint8Array): Fields {
  const fields: Fields = new Map();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asIntN(64, value);
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    let value: Field;
    if ((key & 7) === 0) value = varint();
    else if ((key & 7) === 2) {
      const length = Number(varint());
      if (at + length > bytes.length) throw new Error(`field ${key >> 3} is cut off`);
      value = bytes.subarray(at, at + length);
      at += length;
    } else if ((key & 7) === 5) {
      value = view.getFloat32(at, true);
      at += 4;
    } else throw new Error(`wire type ${key & 7}`);
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), value]);
  }
  return fields;
}

const all = (fields: Fields, field: number): Uint8Array[] => (fields.get(field) ?? []) as Uint8Array[];
const texts = (fields: Fields, field: number): string[] =>
  all(fields, field).map((bytes) => new TextDecoder().decode(bytes));
const text = (fields: Fields, field: number): string | undefined => texts(fields, field)[0];
const messages = (fields: Fields, field: number): Fields[] => all(fields, field).map(parse);
const integers = (fields: Fields, field: number): number[] => ((fields.get(field) ?? []) as bigint[]).map(Number);
const pairs = (entries: Fields[]) => Object.fromEntries(entries.map((entry) => [text(entry, 1), text(entry, 2)]));

function readAttribute(attribute: Fields): [string | undefined, unknown] {
  const values: Record<number, unknown> = {
    1: attribute.get(2)?.[0],
    2: integers(attribute, 3)[0],
    3: text(attribute, 4),
    7: integers(attribute, 8),
  };
  return [text(attribute, 1), values[integers(attribute, 20)[0]]];
}

function readNode(node: Fields) {
  return {
    op: text(node, 4),
    domain: text(node, 7) ?? '',
    inputs: texts(node, 1),
    outputs: texts(node, 2),
    attributes: Object.fromEntries(messages(node, 5).map(readAttribute)),
  };
}

function readTensor(tensor: Fields) {
  return {
    name: text(tensor, 8),
    dtype: integers(tensor, 2)[0],
    shape: integers(tensor, 1),
    raw: all(tensor, 9)[0],
    external: pairs(messages(tensor, 13)),
    location: integers(tensor, 14)[0],
  };
}

function readValue(value: Fields) {
  const tensor = messages(messages(value, 2)[0], 1)[0];
  const shape = messages(messages(tensor, 2)[0], 1).map((dim) => text(dim, 2) ?? integers(dim, 1)[0]);
  return { name: text(value, 1), dtype: integers(tensor, 1)[0], shape };
}

export function readOnnx(bytes: Uint8Array) {
  const model = parse(bytes);
  const graph = messages(model, 7)[0];
  return {
    irVersion: integers(model, 1)[0],
    producer: text(model, 2),
    opsets: Object.fromEntries(messages(model, 8).map((set) => [text(set, 1), integers(set, 2)[0]])),
    metadata: pairs(messages(model, 14)),
    name: text(graph, 2),
    nodes: messages(graph, 1).map(readNode),
    initializers: messages(graph, 5).map(readTensor),
    inputs: messages(graph, 11).map(readValue),
    outputs: messages(graph, 12).map(readValue),
  };
}
