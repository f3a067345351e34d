/**
 * The forward pass of a Llama-style decoder as graph: embedding, blocks (RMS norm, rotary grouped-query attention, SwiGLU)
 * and head. It is written once; what a block attends to is passed in, so that whole sequences (sequence-graph.ts) and
 * cached decoding (decode-graph.ts) share all of it. Source: transformers' modeling_llama / mistral /
 * qwen2 / qwen3 / smollm3 / olmo2 / phi3.
 *
 * Letters: B rows, T tokens a row, N = B T, D width, H heads, KV key/value heads, G = H / KV, E head size, V vocabulary.
 */
import { productOf, type Shape } from '../graph/dims.ts';
import type { Graph, Value } from '../graph/graph.ts';
import {
  add,
  concat,
  fusedRmsNorm,
  fusedRotary,
  fusedSilu,
  gather,
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
  split,
  sqrt,
  sub,
  transpose,
} from '../graph/ops.ts';
import { loraA, loraB } from './lora.ts';
import type { ModelConfig } from './model-config.ts';
import { ropeTables } from './rope.ts';
import { normNames } from './weight-specs.ts';

/** Everything a block needs beside its input. */
export type Decoder = {
  graph: Graph;
  config: ModelConfig;
  /** a weight by its Hugging Face name */
  weight(name: string): Value;
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
  cosines: Value;
  sines: Value;
};

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
  /** rows of the rotary tables: the longest sequence the graph will see */
  maxPositions: number;
};

/** A decoder around `positions` int64 [B, T]; weights and adapters (float32, named as in PEFT) are the whole graph's, also where the decoder is in a body. */
export function makeDecoder(graph: Graph, positions: Value, options: DecoderOptions): Decoder {
  const { config, lora } = options;
  const tables = ropeTables(config.rope, options.maxPositions);
  const tableShape = [options.maxPositions, config.rope.dim / 2];
  const weights = new Map<string, Value>();
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
    cosines: graph.initializer('rope.cosines', 'float32', tableShape, tables.cosines),
    sines: graph.initializer('rope.sines', 'float32', tableShape, tables.sines),
    weight(name) {
      const known = weights.get(name) ?? options.weight(graph.whole, name);
      weights.set(name, known);
      return known;
    },
    quantized: (name) => options.quantized?.(graph.whole, name) ?? null,
    adapter(module) {
      if (!lora?.modules.has(module)) return null;
      const known = adapters.get(module);
      if (known) return known;
      const [outputs, inputs] = this.weight(`${module}.weight`).shape;
      const a = graph.whole.input(loraA(module), 'float32', [lora.rank, inputs]);
      const b = graph.whole.input(loraB(module), 'float32', [outputs, lora.rank]);
      const adapter = { a, b, scale: lora.alpha / lora.rank };
      adapters.set(module, adapter);
      return adapter;
    },
  };
}

/** Token embeddings: ids int64 [B, T] -> [N, D]. */
export function embed(decoder: Decoder, ids: Value): Value {
  const rows = gather(decoder.weight('model.embed_tokens.weight'), ids);
  return reshape(rows, [productOf(ids.shape), decoder.config.hiddenSize]);
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

/** x / rms(x) * weight over the last axis. */
export function rmsNorm(decoder: Decoder, x: Value, name: string): Value {
  const weight = decoder.weight(`${name}.weight`);
  if (decoder.fused) return fusedRmsNorm(x, weight, decoder.config.normEpsilon);
  const meanSquare = reduceMean(mul(x, x), [-1]);
  return mul(mul(x, reciprocal(sqrt(add(meanSquare, decoder.config.normEpsilon)))), weight);
}

/** Turns the first components of each head of x [B, T, heads * E] by the angle of each token's position. */
function rotate(decoder: Decoder, x: Value, heads: number): Value {
  const { positions, cosines, sines } = decoder;
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

/** x [N, heads * E] -> normalized (Qwen3 each head, OLMo 2 all together), turned (but in some layers), [B, T, heads * E]. */
function headsInPlace(decoder: Decoder, x: Value, layer: number, heads: number, norm: string): Value {
  const [rows, tokens] = decoder.positions.shape;
  const { headDim, qkNorm, unrotatedLayers } = decoder.config;
  const parts = qkNorm === 'head' ? reshape(x, [rows, tokens, heads, headDim]) : x;
  const normalized = qkNorm === 'none' ? x : rmsNorm(decoder, parts, norm);
  const inRows = reshape(normalized, [rows, tokens, heads * headDim]);
  return unrotatedLayers.includes(layer) ? inRows : rotate(decoder, inRows, heads);
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

export function attentionScores(decoder: Decoder, queries: Value, keys: Value): Value {
  return matmul(queries, keys, {
    transposeB: true,
    scale: 1 / Math.sqrt(decoder.config.headDim),
    fused: decoder.fusedMatMul,
  });
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
  const folded = (value: Value, shape: Shape, perm: number[]) => transpose(reshape(value, shape), perm);

  const turnedQueries = headsInPlace(decoder, queryRows, layer, config.heads, `${module}.q_norm`);
  const turnedKeys = headsInPlace(decoder, keyRows, layer, kvHeads, `${module}.k_norm`);
  const queries = folded(turnedQueries, [rows, tokens, kvHeads, groups, headDim], [0, 2, 3, 1, 4]);
  const keys = folded(turnedKeys, [rows, tokens, kvHeads, headDim], [0, 2, 1, 3]);
  const values = folded(valueRows, [rows, tokens, kvHeads, headDim], [0, 2, 1, 3]);
  const mixed = attend(layer, {
    queries: reshape(queries, [rows, kvHeads, productOf([groups, tokens]), headDim]),
    keys,
    values,
  });

  const byToken = transpose(reshape(mixed, [rows, kvHeads, groups, tokens, headDim]), [0, 3, 1, 2, 4]);
  const flat = reshape(byToken, [productOf([rows, tokens]), config.heads * headDim]);
  return linear(decoder, flat, `${module}.o_proj`, config.outputBias);
}

/** down(silu(gate(x)) * up(x)) */
function feedForward(decoder: Decoder, x: Value, layer: number): Value {
  const { mlpBias, feedForwardSize, fusedProjections } = decoder.config;
  const project = (input: Value, name: string) => linear(decoder, input, `model.layers.${layer}.mlp.${name}`, mlpBias);
  const [gate, up] = fusedProjections
    ? split(project(x, 'gate_up_proj'), [feedForwardSize, feedForwardSize], 1)
    : [project(x, 'gate_proj'), project(x, 'up_proj')];
  const active = decoder.fused ? fusedSilu(gate) : mul(gate, sigmoid(gate));
  return project(mul(active, up), 'down_proj');
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
  return gemm(chosen, decoder.weight(head), { transposeB: true });
}

/** Weights that are fed on every run. */
export function weightsAsInputs(shapes: ReadonlyMap<string, readonly number[]>): DecoderOptions['weight'] {
  return (graph, name) => graph.input(name, 'float32', shapes.get(name) ?? missing(name));
}

function missing(name: string): never {
  throw new Error(`internal: the model has no weight ${name}`);
}
