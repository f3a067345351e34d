/**
 * The forward pass of a Llama-style decoder as graph: embedding, blocks (RMS norms, rotary grouped-query attention, a gated
 * feed-forward layer) and head. It is written once; what a block attends to is passed in, so that whole sequences (sequence-graph.ts) and
 * cached decoding (decode-graph.ts) share all of it. Source: transformers' modeling_llama / mistral /
 * qwen2 / qwen3 / smollm3 / olmo2 / phi3 / gemma2 /
 * gemma3.
 *
 * Letters: B rows, T tokens a row, N = B T, D width, H heads, KV key/value heads, G = H / KV, E head size, V vocabulary.
 */
import { productOf, type Shape } from '../graph/dims.ts';
import type { Graph, Value } from '../graph/graph.ts';
import {
  add,
  cast,
  concat,
  fusedGelu,
  fusedRmsNorm,
  fusedRotary,
  fusedSilu,
  gather,
  gelu,
  gemm,
  matmul,
  matmul4Bit,
  mul,
  pickRows,
  type Quantized,
  reciprocal,
  reduceMean,
  reshape,
  sigmoid,
  softCap,
  split,
  sqrt,
  sub,
  tanh,
  transpose,
} from '../graph/ops.ts';
import { loraA, loraB } from './lora.ts';
import type { ModelConfig } from './model-config.ts';
import { ropeTables } from './rope.ts';
import type { Rope } from './rope-config.ts';
import { normNames } from './weight-specs.ts';

/** Everything a block needs beside its input. */
export type Decoder = {
  graph: Graph;
  config: ModelConfig;
  /** a weight by its Hugging Face name; one that is kept in halves is widened anew for each use, so that none stays widened */
  weight(name: string): Value;
  /** the same as it is kept */
  stored(name: string): Value;
  /** another form of a linear layer's matrix, null where it has none */
  quantized(name: string): Quantized | null;
  /** the adapter of a linear module, null where it has none */
  adapter(module: string): { a: Value; b: Value; scale: number } | null;
  /** true uses ONNX Runtime's fused kernels, false only standard operators (float64, other runtimes) */
  fused: boolean;
  /** products that transpose and scale inside one kernel (FusedMatMul), which only the CPU has */
  fusedMatMul: boolean;
  /** false writes what gradients flow through so that they scatter nothing, for a provider that cannot (DirectML) */
  scatter: boolean;
  /** layers that see the last `slidingWindow` tokens only; none where no sequence is longer than that */
  slidingLayers: readonly number[];
  positions: Value;
  /** the tables of angles that a layer turns by */
  rotaryOf(layer: number): RotaryTables;
};

export type RotaryTables = { cosines: Value; sines: Value };

/** How a graph holds its weights and adapters. */
export type DecoderOptions = {
  config: ModelConfig;
  weight(graph: Graph, name: string): Value;
  /** another form of a linear layer's matrix (quantized), null where it has none */
  quantized?(graph: Graph, name: string): Quantized | null;
  lora?: { alpha: number; rank: number; modules: ReadonlySet<string> };
  fused?: boolean;
  /** as `fused` unless told otherwise; false on a provider without that kernel (WebGPU) */
  fusedMatMul?: boolean;
  /** false for gradients without a scatter (but for embeddings that are trained); true unless told otherwise */
  scatter?: boolean;
  /** positions of the longest sequence the graph will see */
  maxPositions: number;
};

/** A decoder around `positions` int64 [B, T]; weights and adapters (float32, named as in PEFT) are the whole graph's, also where the decoder is in a body. */
export function makeDecoder(graph: Graph, positions: Value, options: DecoderOptions): Decoder {
  const { config, lora } = options;
  const tableRows = options.maxPositions;
  const weights = new Map<string, Value>();
  const rotaries = new Map<string, RotaryTables>();
  const rotaryTables = (name: string, rope: Rope): RotaryTables => {
    const known = rotaries.get(name);
    if (known) return known;
    const { cosines, sines } = ropeTables(rope, tableRows);
    const table = (kind: string, data: Float32Array) =>
      graph.initializer(`${name}.${kind}`, 'float32', [tableRows, rope.dim / 2], data);
    const made = { cosines: table('cosines', cosines), sines: table('sines', sines) };
    rotaries.set(name, made);
    return made;
  };
  const adapters = new Map<string, { a: Value; b: Value; scale: number }>();
  return {
    graph,
    config,
    fused: options.fused ?? true,
    fusedMatMul: options.fusedMatMul ?? options.fused ?? true,
    scatter: options.scatter ?? true,
    slidingLayers:
      config.slidingWindow !== null && config.slidingWindow < options.maxPositions ? config.slidingLayers : [],
    positions,
    rotaryOf(layer) {
      const { rope, localRope } = config;
      const local = localRope !== null && config.slidingLayers.includes(layer);
      return rotaryTables(local ? 'rope.local' : 'rope', local ? localRope : rope);
    },
    weight(name) {
      return widened(this.stored(name));
    },
    stored(name) {
      const known = weights.get(name) ?? options.weight(graph.whole, name);
      weights.set(name, known);
      return known;
    },
    quantized: (name) => options.quantized?.(graph.whole, name) ?? null,
    adapter(module) {
      if (!lora?.modules.has(module)) return null;
      const known = adapters.get(module);
      if (known) return known;
      const [outputs, inputs] = this.stored(`${module}.weight`).shape;
      const a = graph.whole.input(loraA(module), 'float32', [lora.rank, inputs]);
      const b = graph.whole.input(loraB(module), 'float32', [outputs, lora.rank]);
      const adapter = { a, b, scale: lora.alpha / lora.rank };
      adapters.set(module, adapter);
      return adapter;
    },
  };
}

/** Halves as float32, anything else as it is. */
function widened(value: Value): Value {
  return value.dtype === 'float16' ? cast(value, 'float32') : value;
}

/** Token embeddings: ids int64 [B, T] -> [N, D]. */
export function embed(decoder: Decoder, ids: Value): Value {
  const rows = widened(gather(decoder.stored('model.embed_tokens.weight'), ids));
  const flat = reshape(rows, [productOf(ids.shape), decoder.config.hiddenSize]);
  return decoder.config.embeddingScale === 1 ? flat : mul(flat, decoder.config.embeddingScale);
}

/** x [N, in] -> [N, out]; W is [out, in] as in the checkpoint. */
export function linear(decoder: Decoder, x: Value, module: string, bias: boolean): Value {
  const added = bias ? decoder.weight(`${module}.bias`) : undefined;
  const small = decoder.quantized(`${module}.weight`);
  if (small !== null) return added ? add(matmul4Bit(x, small), added) : matmul4Bit(x, small);
  const base = gemm(x, decoder.weight(`${module}.weight`), { transposeB: true, add: added });
  const adapter = decoder.adapter(module);
  if (adapter === null) return base;
  const narrow = gemm(x, adapter.a, { transposeB: true, scale: adapter.scale });
  return gemm(narrow, adapter.b, { transposeB: true, add: base });
}

/** x / rms(x) * (offset + weight) over the last axis. */
export function rmsNorm(decoder: Decoder, x: Value, name: string): Value {
  const { normOffset } = decoder.config;
  const stored = decoder.weight(`${name}.weight`);
  const weight = normOffset === 0 ? stored : add(stored, normOffset);
  if (decoder.fused) return fusedRmsNorm(x, weight, decoder.config.normEpsilon);
  const meanSquare = reduceMean(mul(x, x), [-1]);
  return mul(mul(x, reciprocal(sqrt(add(meanSquare, decoder.config.normEpsilon)))), weight);
}

/** Turns the first components of each head of x [B, T, heads * E] by the angle of each token's position. */
function rotate(decoder: Decoder, x: Value, heads: number, { cosines, sines }: RotaryTables): Value {
  const { positions } = decoder;
  const { headDim, rope } = decoder.config;
  if (decoder.fused) return fusedRotary(x, positions, cosines, sines, heads);
  const [rows, tokens] = x.shape;
  const half = rope.dim / 2;
  const parts = [half, half, headDim - rope.dim].filter((size) => size > 0);
  const [first, second, ...rest] = split(reshape(x, [rows, tokens, heads, headDim]), parts, 3);
  const cosine = reshape(gather(cosines, positions), [rows, tokens, 1, half]);
  const sine = reshape(gather(sines, positions), [rows, tokens, 1, half]);
  const turned = [sub(mul(first, cosine), mul(second, sine)), add(mul(second, cosine), mul(first, sine))];
  return reshape(concat([...turned, ...rest], 3), x.shape);
}

/** x [N, heads * E] -> normalized (Qwen3 and Gemma 3 each head, OLMo 2 all together), turned (but in some layers), [B, T, heads * E]. */
function headsInPlace(decoder: Decoder, x: Value, layer: number, heads: number, norm: string): Value {
  const [rows, tokens] = decoder.positions.shape;
  const { headDim, qkNorm, unrotatedLayers } = decoder.config;
  const parts = qkNorm === 'head' ? reshape(x, [rows, tokens, heads, headDim]) : x;
  const normalized = qkNorm === 'none' ? x : rmsNorm(decoder, parts, norm);
  const inRows = reshape(normalized, [rows, tokens, heads * headDim]);
  return unrotatedLayers.includes(layer) ? inRows : rotate(decoder, inRows, heads, decoder.rotaryOf(layer));
}

/** Queries, keys and values of one layer. The G query heads of a key head are folded into its rows: no key is repeated. */
export type Heads = {
  /** [B, KV, G * T, E] */
  queries: Value;
  /** [B, KV, T, E] */
  keys: Value;
  /** [B, KV, T, E] */
  values: Value;
};

/** Mixes the values: [B, KV, G * T, E]. What is visible is the caller's business. */
export type Attend = (layer: number, heads: Heads) => Value;

/** scores [B, KV, G * T, S] + mask [T, S] or [B, 1, T, S]: the folded query heads share the mask of their token. */
export function addMask(decoder: Decoder, scores: Value, mask: Value): Value {
  const groups = decoder.config.heads / decoder.config.kvHeads;
  if (groups === 1) return add(scores, mask);
  const [rows, kvHeads, , columns] = scores.shape;
  const tokens = decoder.positions.shape[1];
  const unfolded = reshape(scores, [rows, kvHeads, groups, tokens, columns]);
  const shared = mask.shape.length === 2 ? mask : reshape(mask, [mask.shape[0], 1, 1, tokens, columns]);
  return reshape(add(unfolded, shared), scores.shape);
}

/** q k / sqrt(queryScalar), capped where the model caps them: [B, KV, G * T, E] and [B, KV, S, E] -> [B, KV, G * T, S]. */
export function attentionScores(decoder: Decoder, queries: Value, keys: Value): Value {
  const { queryScalar, scoreCap } = decoder.config;
  const scale = 1 / Math.sqrt(queryScalar);
  const product = (factor: number) =>
    matmul(queries, keys, { transposeB: true, scale: factor, fused: decoder.fusedMatMul });
  return scoreCap === null ? product(scale) : mul(tanh(product(scale / scoreCap)), scoreCap);
}

/** x as `shape`, its axes in another order, as `result`. Where only axes of length 1 move, no number does. */
function rearranged(x: Value, shape: Shape, perm: readonly number[], result = perm.map((axis) => shape[axis])): Value {
  const moving = perm.filter((axis) => shape[axis] !== 1);
  if (moving.every((axis, i) => i === 0 || moving[i - 1] < axis)) return reshape(x, result);
  return reshape(transpose(reshape(x, shape), perm), result);
}

function attention(decoder: Decoder, x: Value, layer: number, attend: Attend): Value {
  const { config } = decoder;
  const { kvHeads, headDim } = config;
  const groups = config.heads / kvHeads;
  const [rows, tokens] = decoder.positions.shape;
  const module = `model.layers.${layer}.self_attn`;
  const project = (name: string) => linear(decoder, x, `${module}.${name}`, config.qkvBias);
  const widths = [config.heads * headDim, kvHeads * headDim, kvHeads * headDim];
  const [queryRows, keyRows, valueRows] = config.fusedProjections
    ? split(project('qkv_proj'), widths, 1)
    : [project('q_proj'), project('k_proj'), project('v_proj')];
  const turnedQueries = headsInPlace(decoder, queryRows, layer, config.heads, `${module}.q_norm`);
  const turnedKeys = headsInPlace(decoder, keyRows, layer, kvHeads, `${module}.k_norm`);
  const folded = [rows, kvHeads, productOf([groups, tokens]), headDim];
  const queries = rearranged(turnedQueries, [rows, tokens, kvHeads, groups, headDim], [0, 2, 3, 1, 4], folded);
  const byHead = (value: Value) => rearranged(value, [rows, tokens, kvHeads, headDim], [0, 2, 1, 3]);
  const mixed = attend(layer, { queries, keys: byHead(turnedKeys), values: byHead(valueRows) });

  const byToken = [productOf([rows, tokens]), config.heads * headDim];
  const flat = rearranged(mixed, [rows, kvHeads, groups, tokens, headDim], [0, 3, 1, 2, 4], byToken);
  return linear(decoder, flat, `${module}.o_proj`, config.outputBias);
}

/** down(activation(gate(x)) * up(x)) */
function feedForward(decoder: Decoder, x: Value, layer: number): Value {
  const { mlpBias, feedForwardSize, fusedProjections } = decoder.config;
  const project = (input: Value, name: string) => linear(decoder, input, `model.layers.${layer}.mlp.${name}`, mlpBias);
  const [gate, up] = fusedProjections
    ? split(project(x, 'gate_up_proj'), [feedForwardSize, feedForwardSize], 1)
    : [project(x, 'gate_proj'), project(x, 'up_proj')];
  return project(mul(activate(decoder, gate), up), 'down_proj');
}

function activate(decoder: Decoder, gate: Value): Value {
  if (decoder.config.activation === 'gelu') return decoder.fused ? fusedGelu(gate) : gelu(gate);
  return decoder.fused ? fusedSilu(gate) : mul(gate, sigmoid(gate));
}

/** All blocks: [N, D] -> what each layer starts from and what the last one gives, [layers + 1] of [N, D], before the last norm. */
export function decoderBlocks(decoder: Decoder, embedded: Value, attend: Attend): Value[] {
  const names = normNames[decoder.config.blockNorms];
  const stages = [embedded];
  for (let layer = 0; layer < decoder.config.layers; layer++) {
    const norm = (value: Value, name: string | null) =>
      name === null ? value : rmsNorm(decoder, value, `model.layers.${layer}.${name}`);
    let x = stages[layer];
    x = add(x, norm(attention(decoder, norm(x, names.attentionIn), layer, attend), names.attentionOut));
    x = add(x, norm(feedForward(decoder, norm(x, names.feedIn), layer), names.feedOut));
    stages.push(x);
  }
  return stages;
}

/** What the head reads, of the chosen rows only: hidden [N, D], rows int64 [K] -> [K, D]. */
export function chosenRows(decoder: Decoder, hidden: Value, rows: Value): Value {
  return rmsNorm(decoder, decoder.scatter ? gather(hidden, rows) : pickRows(hidden, rows), 'model.norm');
}

/** [K, D] -> logits [K, V]. */
export function headLogits(decoder: Decoder, chosen: Value): Value {
  const head = decoder.config.tiedEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
  const logits = gemm(chosen, decoder.weight(head), { transposeB: true });
  return decoder.config.logitCap === null ? logits : softCap(logits, decoder.config.logitCap);
}

/** Weights that are fed on every run. */
export function weightsAsInputs(shapes: ReadonlyMap<string, readonly number[]>): DecoderOptions['weight'] {
  return (graph, name) => graph.input(name, 'float32', shapes.get(name) ?? missing(name));
}

function missing(name: string): never {
  throw new Error(`internal: the model has no weight ${name}`);
}
