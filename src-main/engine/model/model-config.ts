/**
 * The shape of a decoder-only model, read from and written to Hugging Face's config.json. It decides what the graph
 * builder must build; it does not look at weights, tokenizers or files.
 *
 * Source: the configuration classes of transformers 4.51 and 5.23; both spellings are in the golden models. Whatever would
 * change a logit and is not modelled here is refused by name, never skipped.
 */
import { z } from 'zod';
import type { Json } from '../../contract/records.ts';
import { badConfig, unsupported } from './config-error.ts';
import { type BlockNorms, families, familyNames, type FamilyTraits, type ModelFamily } from './model-families.ts';
import { parseRope, type Rope, ropeFields, ropeJson } from './rope-config.ts';

/** All a graph depends on. Sizes are counts; `headDim` is independent of hiddenSize / heads. */
export type ModelConfig = {
  family: ModelFamily;
  hiddenSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  feedForwardSize: number;
  vocabSize: number;
  maxPositions: number;
  normEpsilon: number;
  tiedEmbeddings: boolean;
  qkvBias: boolean;
  outputBias: boolean;
  mlpBias: boolean;
  /** whether queries and keys are normalized, and over what: a head, or all heads of a token together */
  qkNorm: 'none' | 'head' | 'heads';
  blockNorms: BlockNorms;
  /** one matrix for queries, keys and values, and one for gate and up (Phi-3) */
  fusedProjections: boolean;
  /** layers whose tokens see only `slidingWindow` tokens, themselves the last of them */
  slidingLayers: number[];
  slidingWindow: number | null;
  /** layers whose queries and keys are not turned (SmolLM3) */
  unrotatedLayers: number[];
  rope: Rope;
  bosTokenId: number | null;
  eosTokenIds: number[];
  padTokenId: number | null;
};

/** Bounds no real model of these families reaches: a hostile config must not make us allocate or loop for ever. */
const count = (most: number) => z.int().min(1).max(most);
const tokenId = z.int().min(-1);

const configSchema = z.looseObject({
  model_type: z.enum(familyNames),
  architectures: z.array(z.string()).nullish(),
  hidden_size: count(65_536),
  num_hidden_layers: count(1_024),
  num_attention_heads: count(4_096),
  num_key_value_heads: count(4_096).nullish(),
  head_dim: count(4_096).nullish(),
  intermediate_size: count(1_048_576),
  vocab_size: count(4_194_304),
  ...ropeFields,
  rms_norm_eps: z.number().positive().max(1).nullish(),
  hidden_act: z.string().default('silu'),
  tie_word_embeddings: z.boolean().nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  use_sliding_window: z.boolean().nullish(),
  sliding_window: z.int().min(0).nullish(),
  max_window_layers: z.int().min(0).nullish(),
  layer_types: z.array(z.string()).nullish(),
  no_rope_layers: z.array(z.int()).nullish(),
  no_rope_layer_interval: count(1_024).nullish(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
  pad_token_id: tokenId.nullish(),
});
type RawConfig = z.infer<typeof configSchema>;

/** Keys of related architectures that change the computation, with the value at which they do nothing. */
const NEUTRAL_VALUES: Record<string, Json> = {
  attn_logit_softcapping: null,
  final_logit_softcapping: null,
  attention_multiplier: null,
  embedding_multiplier: 1,
  residual_multiplier: 1,
  logits_scaling: 1,
  logit_scale: null,
  clip_qkv: null,
  attention_chunk_size: null,
  num_experts: null,
  num_local_experts: null,
  quantization_config: null,
};

/**
 * Reads a parsed config.json. Throws `bad-file` where it is malformed or contradicts itself, and `unsupported` (with the
 * key, its value and what is supported) where it describes a model that this version does not build.
 */
export function parseModelConfig(json: unknown): ModelConfig {
  // other architectures have other keys: they are refused by their name, before any key is missed
  const named = z.looseObject({ model_type: z.string() }).safeParse(json);
  if (named.success && !(familyNames as string[]).includes(named.data.model_type)) {
    throw unsupported('model_type', named.data.model_type, familyNames.join(', '));
  }
  const parsed = configSchema.safeParse(json);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    throw badConfig(path.length === 0 ? `not a model configuration (${message})` : `${path.join('.')}: ${message}`);
  }
  const raw = parsed.data;
  const traits = families[raw.model_type];
  const family = raw.model_type;
  refuseOtherArchitectures(raw, family);

  const heads = raw.num_attention_heads;
  const kvHeads = raw.num_key_value_heads ?? heads;
  if (heads % kvHeads !== 0) {
    throw badConfig(`num_attention_heads ${heads} is not a multiple of num_key_value_heads ${kvHeads}`);
  }
  const headDim = raw.head_dim ?? traits.headDim ?? raw.hidden_size / heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    throw badConfig(`head_dim must be an even whole number, got ${headDim}`);
  }
  const vocabSize = raw.vocab_size;
  const inVocabulary = (key: string, id: number) => {
    if (id >= vocabSize) throw badConfig(`${key} ${id} is not below vocab_size ${vocabSize}`);
    return id;
  };
  const listed = raw.eos_token_id ?? [];
  const eosTokenIds = [...new Set(Array.isArray(listed) ? listed : [listed])].filter((id) => id >= 0);
  const bos = raw.bos_token_id ?? -1;
  const pad = raw.pad_token_id ?? -1;
  const rope = parseRope(raw, traits, headDim);
  const maxPositions = raw.max_position_embeddings;
  const biases = (key: 'attention_bias' | 'mlp_bias') => traits.biasKeys.includes(key) && raw[key];
  return {
    family,
    hiddenSize: raw.hidden_size,
    layers: raw.num_hidden_layers,
    heads,
    kvHeads,
    headDim,
    feedForwardSize: raw.intermediate_size,
    vocabSize,
    maxPositions:
      rope.scaling?.kind === 'longrope' ? Math.min(maxPositions, rope.scaling.originalMaxPositions) : maxPositions,
    normEpsilon: raw.rms_norm_eps ?? traits.normEpsilon,
    tiedEmbeddings: raw.tie_word_embeddings ?? traits.tiedEmbeddings,
    qkvBias: traits.qkvBias || biases('attention_bias'),
    outputBias: biases('attention_bias'),
    mlpBias: biases('mlp_bias'),
    qkNorm: traits.qkNorm,
    blockNorms: traits.blockNorms,
    fusedProjections: traits.fusedProjections,
    ...slidingLayers(raw, traits),
    unrotatedLayers: family === 'smollm3' ? unrotatedLayers(raw) : [],
    rope,
    bosTokenId: bos < 0 ? null : inVocabulary('bos_token_id', bos),
    eosTokenIds: eosTokenIds.map((id) => inVocabulary('eos_token_id', id)),
    // Old Llama checkpoints name a pad token one past the vocabulary: it can never be embedded, so there is none.
    padTokenId: pad < 0 || pad >= vocabSize ? null : pad,
  };
}

/** The layers with a 0 in the list, or every fourth where there is none. */
function unrotatedLayers(raw: RawConfig): number[] {
  const { num_hidden_layers: layers, no_rope_layers: rotated, no_rope_layer_interval: interval } = raw;
  if (rotated && rotated.length < layers) {
    throw badConfig(`no_rope_layers has ${rotated.length} entries for ${layers} layers`);
  }
  const turned = (layer: number) => (rotated ? rotated[layer] !== 0 : (layer + 1) % (interval ?? 4) !== 0);
  return Array.from({ length: layers }, (_, layer) => layer).filter((layer) => !turned(layer));
}

/** The layers that look back over a window, and how far. */
function slidingLayers(
  raw: RawConfig,
  { sliding }: FamilyTraits,
): Pick<ModelConfig, 'slidingLayers' | 'slidingWindow'> {
  const window = raw.sliding_window ?? null;
  if (sliding === 'none' || window === null) return { slidingLayers: [], slidingWindow: null };
  if (window === 0) throw badConfig('sliding_window is 0: a token must see itself');
  return { slidingLayers: Array.from({ length: raw.num_hidden_layers }, (_, layer) => layer), slidingWindow: window };
}

function refuseOtherArchitectures(raw: RawConfig, family: ModelFamily): void {
  const traits = families[family];
  const causal = traits.architecture;
  if (raw.architectures && raw.architectures.length > 0 && !raw.architectures.includes(causal)) {
    throw unsupported('architectures', raw.architectures, causal);
  }
  if (raw.hidden_act !== 'silu' && raw.hidden_act !== 'swish') throw unsupported('hidden_act', raw.hidden_act, 'silu');
  for (const [key, neutral] of Object.entries(NEUTRAL_VALUES)) {
    const value = raw[key] ?? null;
    if (value !== null && value !== neutral) throw unsupported(key, value, neutral === null ? 'none' : String(neutral));
  }
  for (const key of ['attention_bias', 'mlp_bias'] as const) {
    if (raw[key] && !traits.biasKeys.includes(key)) throw unsupported(key, true, `false for ${family}`);
  }
  if (family !== 'smollm3' && raw.no_rope_layers) throw unsupported('no_rope_layers', raw.no_rope_layers, 'none');
  const otherLayer = raw.layer_types?.find((type) => type !== 'full_attention');
  if (otherLayer !== undefined) throw unsupported('layer_types', otherLayer, 'full_attention in every layer');
  // Qwen uses its window only if asked to, and only from layer max_window_layers on (28 unless said, as in its class).
  const qwen = family === 'qwen2' || family === 'qwen3';
  if (traits.sliding !== 'none') return;
  const windowInUse = qwen
    ? raw.use_sliding_window === true && (raw.max_window_layers ?? 28) < raw.num_hidden_layers
    : family !== 'smollm3' || raw.use_sliding_window === true;
  // Mistral has a window unless its file says that there is none.
  const window = raw.sliding_window === undefined && family === 'mistral' ? 4096 : raw.sliding_window;
  if (windowInUse && typeof window === 'number') throw unsupported('sliding_window', window, 'null (full attention)');
}

/**
 * A config.json that transformers 4 and 5, transformers.js and parseModelConfig read as this model. `extra` is laid on
 * top: e.g. `{ dtype: 'float16' }` or `{ 'transformers.js_config': {...} }`.
 */
export function toConfigJson(config: ModelConfig, extra: Record<string, Json> = {}): Record<string, Json> {
  const { family, rope } = config;
  const { architecture, biasKeys, sliding } = families[family];
  const [onlyEos] = config.eosTokenIds;
  return {
    architectures: [architecture],
    model_type: family,
    hidden_size: config.hiddenSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    intermediate_size: config.feedForwardSize,
    vocab_size: config.vocabSize,
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.normEpsilon,
    hidden_act: 'silu',
    tie_word_embeddings: config.tiedEmbeddings,
    ...(biasKeys.includes('attention_bias') ? { attention_bias: config.qkvBias } : {}),
    ...(biasKeys.includes('mlp_bias') ? { mlp_bias: config.mlpBias } : {}),
    ...(family === 'qwen2' || family === 'qwen3' || family === 'smollm3' ? { use_sliding_window: false } : {}),
    ...(family === 'mistral' || sliding !== 'none' ? { sliding_window: config.slidingWindow } : {}),
    ...(family === 'smollm3'
      ? {
          no_rope_layers: Array.from({ length: config.layers }, (_, i) => (config.unrotatedLayers.includes(i) ? 0 : 1)),
        }
      : {}),
    attention_dropout: 0,
    bos_token_id: config.bosTokenId,
    eos_token_id:
      config.eosTokenIds.length === 0 ? null : config.eosTokenIds.length === 1 ? onlyEos : config.eosTokenIds,
    pad_token_id: config.padTokenId,
    ...ropeJson(rope, config.headDim),
    initializer_range: 0.02,
    use_cache: true,
    ...extra,
  };
}
