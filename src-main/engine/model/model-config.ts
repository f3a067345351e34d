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
import {
  type Activation,
  type BlockNorms,
  families,
  familyNames,
  type FamilyTraits,
  type ModelFamily,
  relatives,
} from './model-families.ts';
import { parseRopes, type Rope, ropeFields, ropeJson } from './rope-config.ts';

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
  /** norms multiply by this plus their weight (Gemma: 1) */
  normOffset: 0 | 1;
  /** of the gate in feed-forward layers */
  activation: Activation;
  /** embeddings are multiplied by it */
  embeddingScale: number;
  /** scores are divided by the root of it: the head size but for some Gemmas */
  queryScalar: number;
  /** scores and logits z become c tanh(z / c); null for none */
  scoreCap: number | null;
  logitCap: number | null;
  /** layers whose tokens see only `slidingWindow` tokens, themselves the last of them */
  slidingLayers: number[];
  slidingWindow: number | null;
  /** layers whose queries and keys are not turned (SmolLM3) */
  unrotatedLayers: number[];
  rope: Rope;
  /** what layers with a window turn by; null: as the others */
  localRope: Rope | null;
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
  hidden_act: z.string().nullish(),
  hidden_activation: z.string().nullish(),
  query_pre_attn_scalar: z.number().positive().max(1e6).nullish(),
  attn_logit_softcapping: z.number().positive().max(1e6).nullish(),
  final_logit_softcapping: z.number().positive().max(1e6).nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  use_sliding_window: z.boolean().nullish(),
  sliding_window: z.int().min(0).nullish(),
  max_window_layers: z.int().min(0).nullish(),
  layer_types: z.array(z.string()).nullish(),
  sliding_window_pattern: count(1_024).nullish(),
  no_rope_layers: z.array(z.int()).nullish(),
  no_rope_layer_interval: count(1_024).nullish(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
  pad_token_id: tokenId.nullish(),
});
type RawConfig = z.infer<typeof configSchema>;

/** By which key, and in which words, a config.json names an activation. */
const ACTIVATION_NAMES: Record<Activation, ['hidden_act' | 'hidden_activation', string[]]> = {
  silu: ['hidden_act', ['silu', 'swish']],
  gelu: ['hidden_activation', ['gelu_pytorch_tanh']],
};

/** Keys of related architectures that change the computation, with the value at which they do nothing. */
const NEUTRAL_VALUES: Record<string, Json> = {
  use_bidirectional_attention: false,
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
    const name = named.data.model_type;
    throw unsupported('model_type', name, familyNames.join(', '), relatives.get(name));
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
  const { rope, localRope } = parseRopes(raw, traits, headDim);
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
    normOffset: traits.normOffset,
    activation: traits.activation,
    embeddingScale: traits.scaledEmbeddings ? Math.sqrt(raw.hidden_size) : 1,
    queryScalar: traits.queryScalar === null ? headDim : (raw.query_pre_attn_scalar ?? traits.queryScalar),
    // null says that there is none
    scoreCap: raw.attn_logit_softcapping === undefined ? traits.scoreCap : raw.attn_logit_softcapping,
    logitCap: raw.final_logit_softcapping === undefined ? traits.logitCap : raw.final_logit_softcapping,
    ...slidingLayers(raw, traits),
    unrotatedLayers: family === 'smollm3' ? unrotatedLayers(raw) : [],
    rope,
    localRope,
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
function slidingLayers(raw: RawConfig, traits: FamilyTraits): Pick<ModelConfig, 'slidingLayers' | 'slidingWindow'> {
  const { num_hidden_layers: layers, layer_types: types, sliding_window: given } = raw;
  const slidingWindow = given === undefined ? traits.slidingWindow : given;
  if (traits.sliding === 'none' || (traits.sliding === 'all' && slidingWindow === null)) {
    return { slidingLayers: [], slidingWindow: null };
  }
  if (slidingWindow === 0) throw badConfig('sliding_window is 0: a token must see itself');
  if (types && types.length !== layers) throw badConfig(`layer_types has ${types.length} entries for ${layers} layers`);
  const spared = raw.sliding_window_pattern ?? traits.spared;
  const slides = (layer: number) => (types ? types[layer] === 'sliding_attention' : (layer + 1) % spared !== 0);
  const all = Array.from({ length: layers }, (_, layer) => layer);
  return { slidingLayers: traits.sliding === 'all' ? all : all.filter(slides), slidingWindow };
}

function refuseOtherArchitectures(raw: RawConfig, family: ModelFamily): void {
  const traits = families[family];
  const causal = traits.architecture;
  if (raw.architectures && raw.architectures.length > 0 && !raw.architectures.includes(causal)) {
    throw unsupported('architectures', raw.architectures, causal);
  }
  const [key, names] = ACTIVATION_NAMES[traits.activation];
  const activation = raw[key] ?? names[0];
  if (!names.includes(activation)) throw unsupported(key, activation, names[0]);
  for (const capKey of ['attn_logit_softcapping', 'final_logit_softcapping'] as const) {
    if (raw[capKey] && !traits.capKeys.includes(capKey)) throw unsupported(capKey, raw[capKey], 'none');
  }
  for (const [key, neutral] of Object.entries(NEUTRAL_VALUES)) {
    const value = raw[key] ?? null;
    if (value !== null && value !== neutral) throw unsupported(key, value, neutral === null ? 'none' : String(neutral));
  }
  for (const key of ['attention_bias', 'mlp_bias'] as const) {
    if (raw[key] && !traits.biasKeys.includes(key)) throw unsupported(key, true, `false for ${family}`);
  }
  if (family !== 'smollm3' && raw.no_rope_layers) throw unsupported('no_rope_layers', raw.no_rope_layers, 'none');
  const layerTypes = traits.sliding === 'some' ? ['full_attention', 'sliding_attention'] : ['full_attention'];
  const otherLayer = raw.layer_types?.find((type) => !layerTypes.includes(type));
  if (otherLayer !== undefined) throw unsupported('layer_types', otherLayer, layerTypes.join(' or '));
  if (traits.sliding !== 'none') return;
  // Qwen uses its window only if asked to, and only from layer max_window_layers on (28 unless said, as in its class).
  const qwen = family === 'qwen2' || family === 'qwen3';
  const windowInUse = qwen
    ? raw.use_sliding_window === true && (raw.max_window_layers ?? 28) < raw.num_hidden_layers
    : family !== 'smollm3' || raw.use_sliding_window === true;
  const window = raw.sliding_window;
  if (windowInUse && typeof window === 'number') throw unsupported('sliding_window', window, 'null (full attention)');
}

/**
 * A config.json that transformers 4 and 5, transformers.js and parseModelConfig read as this model. `extra` is laid on
 * top: e.g. `{ dtype: 'float16' }` or `{ 'transformers.js_config': {...} }`.
 */
export function toConfigJson(config: ModelConfig, extra: Record<string, Json> = {}): Record<string, Json> {
  const { family, rope } = config;
  const { architecture, biasKeys, capKeys, sliding, queryScalar } = families[family];
  const [, [activation]] = ACTIVATION_NAMES[config.activation];
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
    hidden_act: activation,
    ...(config.activation === 'gelu' ? { hidden_activation: activation } : {}),
    ...(queryScalar === null ? {} : { query_pre_attn_scalar: config.queryScalar }),
    ...(capKeys.includes('attn_logit_softcapping') ? { attn_logit_softcapping: config.scoreCap } : {}),
    ...(capKeys.includes('final_logit_softcapping') ? { final_logit_softcapping: config.logitCap } : {}),
    tie_word_embeddings: config.tiedEmbeddings,
    ...(biasKeys.includes('attention_bias') ? { attention_bias: config.qkvBias } : {}),
    ...(biasKeys.includes('mlp_bias') ? { mlp_bias: config.mlpBias } : {}),
    ...(family === 'qwen2' || family === 'qwen3' || family === 'smollm3' ? { use_sliding_window: false } : {}),
    ...(sliding !== 'none' ? { sliding_window: config.slidingWindow } : {}),
    ...(sliding === 'some'
      ? {
          layer_types: Array.from({ length: config.layers }, (_, i) =>
            config.slidingLayers.includes(i) ? 'sliding_attention' : 'full_attention',
          ),
        }
      : {}),
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
    ...ropeJson(rope, config.localRope, config.headDim),
    initializer_range: 0.02,
    use_cache: true,
    ...extra,
  };
}
