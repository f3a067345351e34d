/**
 * The shape of a decoder-only model, read from and written to Hugging Face's config.json. It decides what the graph
 * builder must build; it does not look at weights, tokenizers or files.
 *
 * Source: the configuration classes of Llama, Qwen2 and Qwen3 in transformers 4.51 (keys `rope_theta`, `rope_scaling`)
 * and 5.23 (key `rope_parameters`), and those of Mistral, SmolLM3 and OLMo 2; both spellings are in the golden models. Whatever would change a logit and is not
 * modelled here is refused by name, never skipped.
 */
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import type { Json } from '../../contract/records.ts';

/** The class that transformers has for each family. */
const CLASSES = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  smollm3: 'SmolLM3ForCausalLM',
  olmo2: 'Olmo2ForCausalLM',
} as const;
export type ModelFamily = keyof typeof CLASSES;
const FAMILIES = Object.keys(CLASSES) as ModelFamily[];

export type RopeScaling =
  | {
      kind: 'llama3';
      factor: number;
      lowFreqFactor: number;
      highFreqFactor: number;
      originalMaxPositions: number;
    }
  | { kind: 'linear'; factor: number };

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
  /** the norms of a block stand after attention and feed-forward (OLMo 2), not before them */
  postNorm: boolean;
  /** layers whose queries and keys are not turned (SmolLM3) */
  unrotatedLayers: number[];
  rope: { theta: number; scaling: RopeScaling | null };
  bosTokenId: number | null;
  eosTokenIds: number[];
  padTokenId: number | null;
};

/** Bounds no real model of these families reaches: a hostile config must not make us allocate or loop for ever. */
const count = (most: number) => z.int().min(1).max(most);
const positive = z.number().positive().max(1e12);
const tokenId = z.int().min(-1);

const ropeSchema = z.looseObject({
  rope_theta: positive.optional(),
  rope_type: z.string().optional(),
  type: z.string().optional(), // the oldest spelling of rope_type
  factor: positive.optional(),
  low_freq_factor: positive.optional(),
  high_freq_factor: positive.optional(),
  original_max_position_embeddings: count(1e8).optional(),
});

const configSchema = z.looseObject({
  model_type: z.string(),
  architectures: z.array(z.string()).nullish(),
  hidden_size: count(65_536),
  num_hidden_layers: count(1_024),
  num_attention_heads: count(4_096),
  num_key_value_heads: count(4_096).nullish(),
  head_dim: count(4_096).nullish(),
  intermediate_size: count(1_048_576),
  vocab_size: count(4_194_304),
  max_position_embeddings: count(1e8),
  rms_norm_eps: z.number().positive().max(1).nullish(),
  hidden_act: z.string().default('silu'),
  tie_word_embeddings: z.boolean().nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  rope_theta: positive.nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  use_sliding_window: z.boolean().nullish(),
  sliding_window: z.int().nullish(),
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
  partial_rotary_factor: 1,
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

function unsupported(key: string, value: unknown, supported: string): ParetuneError {
  return new ParetuneError(
    'unsupported',
    `config.json: ${key} is ${JSON.stringify(value)}; supported is ${supported}.`,
    {
      hint: 'Choose a Llama, Mistral, Qwen2, Qwen2.5, Qwen3, SmolLM3 or OLMo 2 model in its plain, dense, unquantized form.',
    },
  );
}

function badConfig(message: string): ParetuneError {
  return new ParetuneError('bad-file', `config.json: ${message}.`, {
    hint: 'Download the model again, or compare the file with the one of the original model.',
  });
}

/**
 * Reads a parsed config.json. Throws `bad-file` where it is malformed or contradicts itself, and `unsupported` (with the
 * key, its value and what is supported) where it describes a model that this version does not build.
 */
export function parseModelConfig(json: unknown): ModelConfig {
  const parsed = configSchema.safeParse(json);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    throw badConfig(path.length === 0 ? `not a model configuration (${message})` : `${path.join('.')}: ${message}`);
  }
  const raw = parsed.data;
  const family = FAMILIES.find((name) => name === raw.model_type);
  if (family === undefined) throw unsupported('model_type', raw.model_type, FAMILIES.join(', '));
  refuseOtherArchitectures(raw, family);

  const heads = raw.num_attention_heads;
  const kvHeads = raw.num_key_value_heads ?? heads;
  if (heads % kvHeads !== 0) {
    throw badConfig(`num_attention_heads ${heads} is not a multiple of num_key_value_heads ${kvHeads}`);
  }
  // Qwen3's own default is 128, whatever the hidden size.
  const headDim = raw.head_dim ?? (family === 'qwen3' ? 128 : raw.hidden_size / heads);
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
  return {
    family,
    hiddenSize: raw.hidden_size,
    layers: raw.num_hidden_layers,
    heads,
    kvHeads,
    headDim,
    feedForwardSize: raw.intermediate_size,
    vocabSize,
    maxPositions: raw.max_position_embeddings,
    // what transformers takes where a file leaves these out
    normEpsilon: raw.rms_norm_eps ?? (family === 'olmo2' ? 1e-5 : 1e-6),
    tiedEmbeddings: raw.tie_word_embeddings ?? family === 'smollm3',
    // Qwen2 has these biases by definition; its config has no key for them.
    qkvBias: family === 'qwen2' || raw.attention_bias,
    outputBias: family !== 'qwen2' && raw.attention_bias,
    mlpBias: (family === 'llama' || family === 'smollm3') && raw.mlp_bias,
    qkNorm: family === 'qwen3' ? 'head' : family === 'olmo2' ? 'heads' : 'none',
    postNorm: family === 'olmo2',
    unrotatedLayers: family === 'smollm3' ? unrotatedLayers(raw) : [],
    rope: parseRope(raw, family),
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

function refuseOtherArchitectures(raw: RawConfig, family: ModelFamily): void {
  const causal = CLASSES[family];
  if (raw.architectures && raw.architectures.length > 0 && !raw.architectures.includes(causal)) {
    throw unsupported('architectures', raw.architectures, causal);
  }
  if (raw.hidden_act !== 'silu' && raw.hidden_act !== 'swish') throw unsupported('hidden_act', raw.hidden_act, 'silu');
  for (const [key, neutral] of Object.entries(NEUTRAL_VALUES)) {
    const value = raw[key] ?? null;
    if (value !== null && value !== neutral) throw unsupported(key, value, neutral === null ? 'none' : String(neutral));
  }
  if ((family === 'qwen2' || family === 'mistral') && raw.attention_bias) {
    throw unsupported('attention_bias', true, `false for ${family}`);
  }
  if (family !== 'smollm3' && raw.no_rope_layers) throw unsupported('no_rope_layers', raw.no_rope_layers, 'none');
  if (family !== 'llama' && family !== 'smollm3' && raw.mlp_bias)
    throw unsupported('mlp_bias', true, `false for ${family}`);
  const otherLayer = raw.layer_types?.find((type) => type !== 'full_attention');
  if (otherLayer !== undefined) throw unsupported('layer_types', otherLayer, 'full_attention in every layer');
  // Qwen uses its window only if asked to, and only from layer max_window_layers on (28 unless said, as in its class).
  const qwen = family === 'qwen2' || family === 'qwen3';
  const windowInUse = qwen
    ? raw.use_sliding_window === true && (raw.max_window_layers ?? 28) < raw.num_hidden_layers
    : family !== 'smollm3' || raw.use_sliding_window === true;
  // Mistral has a window unless its file says that there is none.
  const window = raw.sliding_window === undefined && family === 'mistral' ? 4096 : raw.sliding_window;
  if (windowInUse && typeof window === 'number') throw unsupported('sliding_window', window, 'null (full attention)');
}

function parseRope(raw: RawConfig, family: ModelFamily): ModelConfig['rope'] {
  const rope = raw.rope_parameters ?? raw.rope_scaling ?? {};
  const key = raw.rope_parameters ? 'rope_parameters' : 'rope_scaling';
  const partial = rope.partial_rotary_factor ?? 1;
  if (partial !== 1) throw unsupported(`${key}.partial_rotary_factor`, partial, '1');
  const theta = rope.rope_theta ?? raw.rope_theta ?? (family === 'smollm3' ? 2_000_000 : 10_000);
  if (raw.rope_theta && raw.rope_theta !== theta) {
    throw badConfig(`rope_theta is ${raw.rope_theta}, but ${key}.rope_theta is ${theta}`);
  }
  const type = rope.rope_type ?? rope.type ?? 'default';
  const oldType = raw.rope_scaling?.rope_type ?? raw.rope_scaling?.type ?? type;
  if (oldType !== type) throw badConfig(`rope_scaling is of type ${oldType}, but rope_parameters of type ${type}`);
  const required = (name: 'factor' | 'low_freq_factor' | 'high_freq_factor' | 'original_max_position_embeddings') => {
    const value = rope[name];
    if (value === undefined) throw badConfig(`${key} of type ${type} needs ${name}`);
    return value;
  };
  if (type === 'default') return { theta, scaling: null };
  if (type === 'linear') return { theta, scaling: { kind: 'linear', factor: required('factor') } };
  if (type !== 'llama3') throw unsupported(`${key}.rope_type`, type, 'default, linear, llama3');
  const scaling = {
    kind: 'llama3',
    factor: required('factor'),
    lowFreqFactor: required('low_freq_factor'),
    highFreqFactor: required('high_freq_factor'),
    originalMaxPositions: required('original_max_position_embeddings'),
  } as const;
  if (scaling.lowFreqFactor >= scaling.highFreqFactor) {
    throw badConfig(
      `${key}: low_freq_factor ${scaling.lowFreqFactor} must be below high_freq_factor ${scaling.highFreqFactor}`,
    );
  }
  return { theta, scaling };
}

/**
 * A config.json that transformers 4 and 5, transformers.js and parseModelConfig read as this model. `extra` is laid on
 * top: e.g. `{ dtype: 'float16' }` or `{ 'transformers.js_config': {...} }`.
 */
export function toConfigJson(config: ModelConfig, extra: Record<string, Json> = {}): Record<string, Json> {
  const { family, rope } = config;
  const scaling: Record<string, Json> | null =
    rope.scaling === null
      ? null
      : rope.scaling.kind === 'linear'
        ? { rope_type: 'linear', factor: rope.scaling.factor }
        : {
            rope_type: 'llama3',
            factor: rope.scaling.factor,
            low_freq_factor: rope.scaling.lowFreqFactor,
            high_freq_factor: rope.scaling.highFreqFactor,
            original_max_position_embeddings: rope.scaling.originalMaxPositions,
          };
  const [onlyEos] = config.eosTokenIds;
  return {
    architectures: [CLASSES[family]],
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
    ...(family === 'qwen2' || family === 'mistral' ? {} : { attention_bias: config.qkvBias }),
    ...(family === 'llama' || family === 'smollm3' ? { mlp_bias: config.mlpBias } : {}),
    ...(family === 'qwen2' || family === 'qwen3' || family === 'smollm3' ? { use_sliding_window: false } : {}),
    ...(family === 'mistral' ? { sliding_window: null } : {}),
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
    // Both spellings: readers before transformers 5 know only the first two keys.
    rope_theta: rope.theta,
    rope_scaling: scaling,
    rope_parameters: { rope_theta: rope.theta, ...(scaling ?? { rope_type: 'default' }) },
    initializer_range: 0.02,
    use_cache: true,
    ...extra,
  };
}
