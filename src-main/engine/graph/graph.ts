/**
 * An ONNX graph under construction: plain nodes in topological order, named values with a type and a shape. It knows no
 * model and no runtime. Operators are functions over values (ops.ts); their legal forms are a table (infer.ts); gradients
 * are more graph (reverse.ts); the result is bytes (onnx-bytes.ts).
 *
 * Target: ONNX opset 21, IR version 10, and domain com.microsoft 1 for the fused forms of ONNX Runtime.
 */
import { assert } from '../base/assert.ts';
import { type Dim, factorOf, type Shape, showShape, symbolsOf } from './dims.ts';
import { inferOutputs } from './infer.ts';

export type DType = 'float32' | 'float64' | 'float16' | 'int64' | 'int32' | 'uint8' | 'bool';

/** A tensor of a graph. `graph` is who made it: operators add their node there. */
export type Value = {
  readonly graph: Graph;
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
};

/** A list of whole numbers is an INTS attribute, { float } a FLOAT, a bare number an INT. */
export type Attribute = number | string | readonly number[] | { readonly float: number };
export type Attributes = Readonly<Record<string, Attribute>>;

export type Node = {
  readonly op: string;
  readonly domain: '' | 'com.microsoft';
  /** null marks an optional input that is left out */
  readonly inputs: readonly (Value | null)[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
  readonly known: Known;
  /** what the node repeats (Loop): a graph whose nodes also read values of the graphs around it */
  readonly body?: Body;
};

/**
 * A graph within a node. The node's inputs end with what the body reads from outside, so that whatever walks a graph meets
 * it; only the first `operands` of them are written, ONNX finds the others by name.
 */
export type Body = { readonly graph: Graph; readonly operands: number };

export type TensorData = Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array | Uint16Array;

/** Bytes of a weight that live in a file beside the graph, or anywhere in a .safetensors file. */
export type ExternalData = { location: string; offset: number; length: number };

export type Initializer = { readonly value: Value; readonly data: TensorData | ExternalData };

/** Input order, output order and node order are those of creation. Mutable only through its methods. */
export class Graph {
  readonly name: string;
  /** the graph around a node's body, null for a whole one */
  readonly outer: Graph | null;
  readonly nodes: Node[] = [];
  readonly inputs: Value[] = [];
  readonly outputs: { name: string; value: Value }[] = [];
  readonly initializers: Initializer[] = [];
  readonly #constants = new Map<string, Value>();
  /** a value that has the dimension, and the int64 [1] that measures it */
  readonly #sources = new Map<string, Value>();
  readonly #lengths = new Map<string, Value>();
  readonly #shapes = new Map<string, Value>();
  /** one for a graph and the bodies within it: ONNX has no name twice */
  readonly #naming: { taken: Set<string>; count: number };

  constructor(name: string, outer: Graph | null = null) {
    this.name = name;
    this.outer = outer;
    this.#naming = outer ? outer.#naming : { taken: new Set(), count: 0 };
  }

  /** The graph that is no body: weights and adapters are its inputs. */
  get whole(): Graph {
    return this.outer ? this.outer.whole : this;
  }

  /** Whether this is the graph or a body somewhere in it: then nodes here may read what is made there. */
  #within(graph: Graph): boolean {
    if (graph === this) return true;
    return this.outer === null ? false : this.outer.#within(graph);
  }

  /** A value that is fed on every run. Symbols in its shape become known to the graph. */
  input(name: string, dtype: DType, shape: Shape): Value {
    const value = this.#value(name, dtype, shape);
    this.inputs.push(value);
    return value;
  }

  /** A fixed tensor, inline or in a file; those of a body are the whole graph's. */
  initializer(name: string, dtype: DType, shape: readonly number[], data: TensorData | ExternalData): Value {
    if (this.outer) return this.outer.initializer(name, dtype, shape, data);
    const value = this.#value(name, dtype, shape);
    this.initializers.push({ value, data });
    return value;
  }

  /** A small constant; equal constants are one tensor. A bare number is a scalar of rank 0, a list has rank 1. */
  constant(dtype: DType, content: number | readonly number[]): Value {
    if (this.outer) return this.outer.constant(dtype, content);
    const list = typeof content === 'number' ? [content] : content;
    // String() would merge 0 and -0, JSON the infinities and NaN
    const words = list.map((item) => (Object.is(item, -0) ? '-0' : String(item)));
    const key = `${dtype} ${typeof content === 'number' ? words[0] : showShape(words)}`;
    const known = this.#constants.get(key);
    if (known) return known;
    const shape = typeof content === 'number' ? [] : [content.length];
    const value = this.initializer(this.freshName('const'), dtype, shape, toTensorData(dtype, list));
    this.#constants.set(key, value);
    return value;
  }

  /** Names a value as a result of the graph. */
  output(name: string, value: Value): void {
    assert(!this.outputs.some((output) => output.name === name), `output ${name} is named twice in graph ${this.name}`);
    assert(name === value.name || !this.#naming.taken.has(name), `output ${name} has the name of another value`);
    this.#naming.taken.add(name);
    this.outputs.push({ name, value });
  }

  /**
   * Appends a node; its outputs' types and shapes follow from the operator table. Where an input is of a body within this
   * graph, the node goes there: what a body repeats is only what depends on it.
   */
  node(
    op: string,
    inputs: readonly (Value | null)[],
    attributes: Attributes = {},
    domain: Node['domain'] = '',
    known: Known = {},
    body?: Body,
  ): Value[] {
    const inner = inputs.find((input) => input !== null && !this.#within(input.graph))?.graph;
    if (inner) {
      assert(inner.#within(this), `${op}: a value of another graph was given`);
      return inner.node(op, inputs, attributes, domain, known, body);
    }
    const outputs = inferOutputs({ op, domain, inputs, attributes, known, body }).map((type) =>
      this.#value(this.freshName(op), type.dtype, type.shape),
    );
    this.nodes.push({ op, domain, inputs, outputs, attributes, known, ...(body ? { body } : {}) });
    return outputs;
  }

  /** What a body reads of the graphs around it, each value once. */
  readFromOutside(): Value[] {
    const read = [...this.nodes.flatMap(({ inputs }) => inputs), ...this.outputs.map(({ value }) => value)];
    return [...new Set(read)].filter((value) => value !== null && value.graph !== this) as Value[];
  }

  /** All nodes, those of bodies behind the node that repeats them. */
  everyNode(): Node[] {
    return this.nodes.flatMap((node) => (node.body ? [node, ...node.body.graph.everyNode()] : [node]));
  }

  /** The same results made by some of its nodes, with `given` as inputs more. The values are this graph's own. */
  part(nodes: readonly Node[], given: readonly Value[]): Graph {
    const part = new Graph(this.name);
    part.nodes.push(...nodes);
    part.inputs.push(...this.inputs, ...given);
    part.outputs.push(...this.outputs);
    part.initializers.push(...this.initializers);
    return part;
  }

  /** The runtime length of a dimension, int64 [1]. */
  dimension(dim: Dim): Value {
    if (typeof dim === 'number') return this.constant('int64', [dim]);
    if (this.#outerMeasures(dim)) return this.outer!.dimension(dim);
    const known = this.#lengths.get(dim);
    if (known) return known;
    const source = this.#sources.get(dim);
    const length = source ? this.#measure(source, source.shape.indexOf(dim)) : this.#multiply(dim);
    this.#lengths.set(dim, length);
    return length;
  }

  /** Whether the length is known around this body: then it is measured there, once. */
  #outerMeasures(dim: string): boolean {
    const { outer } = this;
    if (outer === null) return false;
    return [[dim], symbolsOf(dim)].some((dims) =>
      dims.every((one) => outer.#sources.has(one) || outer.#outerMeasures(one)),
    );
  }

  #measure(source: Value, axis: number): Value {
    return this.node('Shape', [source], { start: axis, end: axis + 1 })[0];
  }

  #multiply(dim: string): Value {
    const symbols = symbolsOf(dim);
    assert(symbols.length > 1 || factorOf(dim) !== 1, `nothing in graph ${this.name} has the dimension ${dim}`);
    const parts = symbols.map((symbol) => this.dimension(symbol));
    if (factorOf(dim) !== 1) parts.push(this.constant('int64', [factorOf(dim)]));
    return parts.reduce((a, b) => this.node('Mul', [a, b])[0]);
  }

  /** The runtime lengths of a shape, int64 [rank]; equal shapes are one tensor. */
  shapeTensor(shape: Shape): Value {
    if (shape.every((dim) => typeof dim === 'number')) return this.constant('int64', shape as number[]);
    if (shape.length === 1) return this.dimension(shape[0]);
    const key = showShape(shape);
    const known = this.#shapes.get(key);
    if (known) return known;
    const parts = shape.map((dim) => this.dimension(dim));
    const tensor = this.node('Concat', parts, { axis: 0 })[0];
    this.#shapes.set(key, tensor);
    return tensor;
  }

  #value(name: string, dtype: DType, shape: Shape): Value {
    assert(!this.#naming.taken.has(name), `two values of graph ${this.name} are called ${name}`);
    this.#naming.taken.add(name);
    const value: Value = Object.freeze({ graph: this, name, dtype, shape: Object.freeze([...shape]) });
    for (const dim of shape) if (typeof dim === 'string' && !this.#sources.has(dim)) this.#sources.set(dim, value);
    return value;
  }

  /** A name that no value has yet. */
  freshName(stem: string): string {
    return `${stem}_${this.#naming.count++}`;
  }
}

/** What the builder knows of inputs whose content decides an output's shape: a Reshape's target, reduced axes, split sizes. */
export type Known = { readonly shape?: Shape; readonly axes?: readonly number[]; readonly sizes?: readonly Dim[] };

/** One line on a value for error messages: name, type and shape. */
export function showValue(value: Value | null): string {
  return value === null ? '-' : `${value.name}: ${value.dtype}${showShape(value.shape)}`;
}

function toTensorData(dtype: DType, list: readonly number[]): TensorData {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(list);
    case 'float64':
      return Float64Array.from(list);
    case 'int64':
      return BigInt64Array.from(list, BigInt);
    case 'int32':
      return Int32Array.from(list);
    case 'uint8':
    case 'bool':
      return Uint8Array.from(list);
    default:
      throw new Error(`internal: no constants of type ${dtype}`);
  }
}
