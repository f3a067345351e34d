/**
 * What a GGUF file says its model is, in Hugging Face's terms: a config.json, the names of its weights and the order of
 * their rows. Whatever would change a logit and is not modelled is refused by its key; nothing is read from the tensors
 * but the rotary factors of Llama 3.
 *
 * Source: llama.cpp's gguf-py constants and its converter. It stores the rows of each query and key head of Llama and
 * SmolLM3 with the two halves of a rotary pair next to each other, while Hugging Face keeps the halves apart; and Llama 3's
 * rotary scaling as one factor a frequency, from which its four settings are found again here and checked.
 */
import { ParetuneError } from '../../contract/errors.ts';
import type { Json } from '../../contract/records.ts';
import type { GgufFile } from './gguf.ts';
import type { GgufValue } from './gguf-cursor.ts';

/** As llama.cpp names them; a Mistral is a `llama` there. */
const FAMILIES = ['llama', 'qwen2', 'qwen3', 'smollm3', 'olmo2'];
/** Those whose rows of queries and keys llama.cpp stores in pairs. */
const PAIRED = ['llama', 'smollm3'];

/** Keys below the architecture's name that describe, or are read below. */
const KNOWN = new Set([
  'block_count',
  'context_length',
  'embedding_length',
  'feed_forward_length',
  'vocab_size',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.layer_norm_rms_epsilon',
  'rope.dimension_count',
  'rope.freq_base',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scaling.original_context_length',
  'rope.scaling.finetuned',
  'tensor_data_layout',
]);

/** Keys that change the computation, with the value at which they do nothing. */
const NEUTRAL: Record<string, GgufValue> = {
  'attention.causal': true,
  'attention.sliding_window': 0,
  'rope.scale_linear': 1,
  expert_count: 0,
  expert_used_count: 0,
  use_parallel_residual: false,
  pooling_type: 0,
};

/** The config.json that the metadata stand for; `parseModelConfig` checks its numbers. Throws `bad-file` or `unsupported`. */
export function ggufConfigJson(file: GgufFile, ropeFactors: Float32Array | null): Record<string, Json> {
  const { path, metadata, tensors } = file;
  const family = metadata.get('general.architecture');
  if (typeof family !== 'string') throw badMetadata(path, 'general.architecture', family);
  if (!FAMILIES.includes(family)) throw unsupported(path, 'general.architecture', family, FAMILIES.join(', '));
  const key = (name: string) => `${family}.${name}`;
  for (const [name, value] of metadata) {
    if (!name.startsWith(key('')) || KNOWN.has(name.slice(family.length + 1))) continue;
    const neutral = NEUTRAL[name.slice(family.length + 1)];
    if (neutral === undefined || value !== neutral)
      throw unsupported(path, name, value, String(neutral ?? 'no such key'));
  }
  const optional = (name: string): number | null => {
    const value = metadata.get(name);
    if (value === undefined) return null;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw badMetadata(path, name, value);
    return value;
  };
  const required = (name: string): number => optional(key(name)) ?? fail(badMetadata(path, key(name), undefined));

  const heads = required('attention.head_count');
  const headDim = optional(key('attention.key_length')) ?? required('embedding_length') / heads;
  for (const name of ['attention.value_length', 'rope.dimension_count']) {
    const value = optional(key(name)) ?? headDim;
    if (value !== headDim) throw unsupported(path, key(name), value, `${headDim}, the size of a head`);
  }
  const vocabulary = tensors.get('token_embd.weight')?.shape[0];
  if (vocabulary === undefined) throw badMetadata(path, 'token_embd.weight', undefined);
  // floats are kept in 32 bits; the shortest text of one is the number that was meant
  const meant = (value: number) => Number(value.toPrecision(7));
  const ids = ['eos', 'eot', 'eom'].map((name) => optional(`tokenizer.ggml.${name}_token_id`));
  const inVocabulary = (id: number | null) => (id !== null && id < vocabulary ? id : null);
  const stops = [...new Set(ids.map(inVocabulary).filter((id) => id !== null))];
  return {
    model_type: family,
    hidden_size: required('embedding_length'),
    num_hidden_layers: required('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: optional(key('attention.head_count_kv')) ?? heads,
    head_dim: headDim,
    intermediate_size: required('feed_forward_length'),
    vocab_size: vocabulary,
    max_position_embeddings: required('context_length'),
    rms_norm_eps: meant(required('attention.layer_norm_rms_epsilon')),
    tie_word_embeddings: !tensors.has('output.weight'),
    ...(family === 'qwen2' ? {} : { attention_bias: tensors.has('blk.0.attn_q.bias') }),
    ...(PAIRED.includes(family) ? { mlp_bias: tensors.has('blk.0.ffn_gate.bias') } : {}),
    rope_theta: meant(optional(key('rope.freq_base')) ?? 10_000),
    rope_scaling: ropeScaling(file, key, ropeFactors, headDim, optional(key('rope.freq_base')) ?? 10_000),
    bos_token_id: inVocabulary(optional('tokenizer.ggml.bos_token_id')),
    eos_token_id: stops,
    pad_token_id: inVocabulary(optional('tokenizer.ggml.padding_token_id')),
  };
}

function ropeScaling(
  { path, metadata }: GgufFile,
  key: (name: string) => string,
  factors: Float32Array | null,
  headDim: number,
  theta: number,
): { [key: string]: Json } | null {
  const type = metadata.get(key('rope.scaling.type')) ?? 'none';
  const factor = metadata.get(key('rope.scaling.factor')) ?? 1;
  if (type !== 'none' && type !== 'linear') throw unsupported(path, key('rope.scaling.type'), type, 'none, linear');
  if (typeof factor !== 'number') throw badMetadata(path, key('rope.scaling.factor'), factor);
  const linear = type === 'linear' && factor !== 1;
  if (factors === null) return linear ? { rope_type: 'linear', factor } : null;
  const scaling = llama3Scaling(factors, headDim, theta);
  if (scaling === null || linear)
    throw unsupported(path, 'rope_freqs.weight', `[${factors.length} factors]`, "Llama 3's factors");
  return scaling;
}

/** The settings of Llama 3.1 to 3.3 (factor 8 or 32, from 8192 positions, bands 1 and 4) whose factors these are, or null. */
function llama3Scaling(factors: Float32Array, headDim: number, theta: number): { [key: string]: Json } | null {
  if (factors.length !== headDim / 2) return null;
  const factor = Math.round(factors[factors.length - 1]);
  const [low, high, original] = [1, 4, 8192];
  const expected = Array.from(factors, (_, i) => {
    const turns = original / (2 * Math.PI * theta ** ((2 * i) / headDim));
    if (turns > high) return 1;
    if (turns < low) return factor;
    const smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
  if (!expected.every((value, i) => Math.abs(value - factors[i]) <= 1e-4 * value)) return null;
  return {
    rope_type: 'llama3',
    factor,
    low_freq_factor: low,
    high_freq_factor: high,
    original_max_position_embeddings: original,
  };
}

const WHOLE: Record<string, string> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
};
const OF_LAYER: Record<string, string> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  attn_output: 'self_attn.o_proj',
  post_attention_norm: 'post_attention_layernorm',
  ffn_norm: 'post_attention_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

/** Hugging Face's name of a tensor, the name itself where we know none; null for the rotary factors, which are in the config. */
export function ggufWeightName(name: string): string | null {
  if (name === 'rope_freqs.weight') return null;
  if (Object.hasOwn(WHOLE, name)) return WHOLE[name];
  const [, layer, part, kind] = /^blk\.(\d{1,4})\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (part === undefined || !Object.hasOwn(OF_LAYER, part)) return name;
  return `model.layers.${Number(layer)}.${OF_LAYER[part]}.${kind}`;
}

/** For each row of a weight of ours the row of the file's, null where they are the same. Source: the header of this file. */
export function ggufRowOrder(family: string, name: string, rows: number, headDim: number): Uint32Array | null {
  if (!PAIRED.includes(family) || !/\.self_attn\.[qk]_proj\.(weight|bias)$/.test(name)) return null;
  const halfDim = headDim / 2;
  return Uint32Array.from({ length: rows }, (_, row) => {
    const within = row % headDim;
    return row - within + 2 * (within % halfDim) + Math.floor(within / halfDim);
  });
}

function fail(error: ParetuneError): never {
  throw error;
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100));
  return typeof value === 'object' && value !== null ? 'an array' : String(value);
}

function badMetadata(path: string, key: string, value: unknown): ParetuneError {
  const what = value === undefined ? 'is missing' : `is ${shown(value)}`;
  return new ParetuneError('bad-file', `${path}: ${key} ${what}.`, {
    hint: 'The file is damaged or no language model: download it again, or convert the model again with llama.cpp.',
  });
}

function unsupported(path: string, key: string, value: unknown, supported: string): ParetuneError {
  return new ParetuneError('unsupported', `${path}: ${key} is ${shown(value)}; supported is ${supported}.`, {
    hint: 'Choose a Llama, Mistral, Qwen2, Qwen2.5, Qwen3, SmolLM3 or OLMo 2 model in its plain, dense form.',
  });
}
