/**
 * What a GGUF file says its model is, as Hugging Face's config.json says it. Whatever would change a logit and is not
 * modelled is refused by its key; nothing is read from the tensors but the factors of rotary frequencies.
 *
 * Source: llama.cpp's gguf-py constants and its converter. It stores Llama 3's rotary scaling as one factor a frequency,
 * from which its four settings are found again here and checked.
 */
import { ParetuneError } from '../../contract/errors.ts';
import type { Json } from '../../contract/records.ts';
import { families, familyTitles } from '../model/model-families.ts';
import type { GgufFile } from './gguf.ts';
import { architectures, type RopeFactors } from './gguf-architectures.ts';
import type { GgufValue } from './gguf-cursor.ts';

/** Keys below any architecture's name that describe, or are read below. */
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
export function ggufConfigJson(file: GgufFile, ropeFactors: RopeFactors): Record<string, Json> {
  const { path, metadata, tensors } = file;
  const name = metadata.get('general.architecture');
  if (typeof name !== 'string') throw badMetadata(path, 'general.architecture', name);
  if (!Object.hasOwn(architectures, name)) {
    throw unsupported(path, 'general.architecture', name, Object.keys(architectures).join(', '));
  }
  const { family, keys, unscaledLayers, windowless } = architectures[name];
  const { biasKeys } = families[family];
  const key = (below: string) => `${name}.${below}`;
  for (const [entry, value] of metadata) {
    const below = entry.slice(key('').length);
    if (!entry.startsWith(key('')) || KNOWN.has(below) || keys.includes(below)) continue;
    const neutral = NEUTRAL[below];
    if (neutral === undefined || value !== neutral)
      throw unsupported(path, entry, value, String(neutral ?? 'no such key'));
  }
  const optional = (entry: string) => numberAt(file, entry);
  const required = (name: string): number => optional(key(name)) ?? fail(badMetadata(path, key(name), undefined));

  const heads = required('attention.head_count');
  const headDim = optional(key('attention.key_length')) ?? required('embedding_length') / heads;
  const theta = optional(key('rope.freq_base')) ?? 10_000;
  const original = optional(key('rope.scaling.original_context_length'));
  const window = optional(key('attention.sliding_window'));
  const pattern = windowless && !window ? 1 : optional(key('attention.sliding_window_pattern'));
  const localTheta = optional(key('rope.freq_base_swa'));
  const scoreCap = optional(key('attn_logit_softcapping'));
  const logitCap = optional(key('final_logit_softcapping'));
  const layers = required('block_count');
  const byWidth = unscaledLayers === layers;
  const queryScalar =
    families[family].queryScalar === null ? null : byWidth ? required('embedding_length') / heads : headDim;
  const turned = optional(key('rope.dimension_count')) ?? headDim;
  const valueDim = optional(key('attention.value_length')) ?? headDim;
  const whole = `${headDim}, the size of a head`;
  if (valueDim !== headDim) throw unsupported(path, key('attention.value_length'), valueDim, whole);
  if (turned !== headDim && !families[family].partialRotary)
    throw unsupported(path, key('rope.dimension_count'), turned, whole);
  const vocabulary = tensors.get('token_embd.weight')?.shape[0];
  if (vocabulary === undefined) throw badMetadata(path, 'token_embd.weight', undefined);
  const ids = ['eos', 'eot', 'eom'].map((name) => optional(`tokenizer.ggml.${name}_token_id`));
  const inVocabulary = (id: number | null) => (id !== null && id < vocabulary ? id : null);
  const stops = [...new Set(ids.map(inVocabulary).filter((id) => id !== null))];
  return {
    model_type: family,
    hidden_size: required('embedding_length'),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: optional(key('attention.head_count_kv')) ?? heads,
    head_dim: headDim,
    intermediate_size: required('feed_forward_length'),
    vocab_size: vocabulary,
    max_position_embeddings: required('context_length'),
    rms_norm_eps: meant(required('attention.layer_norm_rms_epsilon')),
    tie_word_embeddings: !tensors.has('output.weight'),
    ...(biasKeys.includes('attention_bias') ? { attention_bias: tensors.has('blk.0.attn_q.bias') } : {}),
    ...(biasKeys.includes('mlp_bias') ? { mlp_bias: tensors.has('blk.0.ffn_gate.bias') } : {}),
    // 0 stands for none, and what is not there for what is usual
    ...(window === null ? {} : { sliding_window: window || null }),
    ...(pattern === null ? {} : { sliding_window_pattern: pattern }),
    ...(localTheta === null ? {} : { rope_local_base_freq: meant(localTheta) }),
    ...(scoreCap === null ? {} : { attn_logit_softcapping: scoreCap || null }),
    ...(logitCap === null ? {} : { final_logit_softcapping: logitCap || null }),
    ...(queryScalar === null ? {} : { query_pre_attn_scalar: queryScalar }),
    partial_rotary_factor: turned / headDim,
    rope_theta: meant(theta),
    ...(original === null ? {} : { original_max_position_embeddings: original }),
    rope_scaling:
      ropeFactors['rope_factors_short.weight'] || ropeFactors['rope_factors_long.weight']
        ? longRope(file, key, ropeFactors)
        : ropeScaling(file, key, ropeFactors['rope_freqs.weight'] ?? null, headDim, theta),
    bos_token_id: inVocabulary(optional('tokenizer.ggml.bos_token_id')),
    eos_token_id: stops,
    pad_token_id: inVocabulary(optional('tokenizer.ggml.padding_token_id')),
  };
}

/** The number that the metadata hold under a key, null where they hold nothing. */
function numberAt({ path, metadata }: GgufFile, key: string): number | null {
  const value = metadata.get(key);
  if (value === undefined) return null;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw badMetadata(path, key, value);
  return value;
}

/** Floats are kept in 32 bits; the shortest text of one is the number that was meant. */
const meant = (value: number) => Number(value.toPrecision(7));

/** Phi-3's LongRoPE, whose factors are tensors. */
function longRope(file: GgufFile, key: (below: string) => string, factors: RopeFactors): { [key: string]: Json } {
  const { path, metadata } = file;
  const type = metadata.get(key('rope.scaling.type')) ?? 'longrope';
  if (type !== 'longrope' && type !== 'none') throw unsupported(path, key('rope.scaling.type'), type, 'longrope');
  const list = (name: keyof RopeFactors) =>
    Array.from(factors[name] ?? fail(badMetadata(path, name, undefined)), meant);
  return {
    type: 'longrope',
    short_factor: list('rope_factors_short.weight'),
    long_factor: list('rope_factors_long.weight'),
    attention_factor: numberAt(file, key('rope.scaling.attn_factor')),
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
    hint: `Choose a ${familyTitles} model in its plain, dense form.`,
  });
}
