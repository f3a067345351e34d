/**
 * The architectures of GGUF files and the families that they are here, as a table, and their tensors in Hugging Face's terms:
 * names and the order of rows.
 *
 * Source: llama.cpp's gguf-py constants and its converter. It stores the rows of each query and key head of Llama and
 * SmolLM3 with the two halves of a rotary pair next to each other, while Hugging Face keeps the halves apart.
 */
import { families, type ModelFamily } from '../model/model-families.ts';

type Architecture = {
  family: ModelFamily;
  /** the rows of queries and keys are stored in pairs */
  paired: boolean;
  /** keys of its own, below its name, that are read */
  keys: readonly string[];
  /** so many layers has the one size whose scores are not divided by the root of the head size, but of width / heads */
  unscaledLayers?: number;
  /** a file without a window has none, and its layers are all alike */
  windowless?: true;
};

const plain = { paired: false, keys: [] } as const;
/** As llama.cpp names them; a Mistral is a `llama` there. */
export const architectures: Record<string, Architecture> = {
  llama: { ...plain, family: 'llama', paired: true },
  qwen2: { ...plain, family: 'qwen2' },
  qwen3: { ...plain, family: 'qwen3' },
  smollm3: { ...plain, family: 'smollm3', paired: true },
  olmo2: { ...plain, family: 'olmo2' },
  phi3: { ...plain, family: 'phi3', keys: ['attention.sliding_window', 'rope.scaling.attn_factor'] },
  gemma2: {
    ...plain,
    family: 'gemma2',
    keys: ['attention.sliding_window', 'attn_logit_softcapping', 'final_logit_softcapping'],
    unscaledLayers: 46,
  },
  gemma3: {
    ...plain,
    family: 'gemma3_text',
    keys: [
      'attention.sliding_window',
      'attention.sliding_window_pattern',
      'final_logit_softcapping',
      'rope.freq_base_swa',
    ],
    unscaledLayers: 62,
    windowless: true,
  },
};

/** Tensors that hold no weights but how the angles of rotary positions are stretched. */
export const ropeFactorNames = ['rope_freqs.weight', 'rope_factors_short.weight', 'rope_factors_long.weight'] as const;
export type RopeFactors = Partial<Record<(typeof ropeFactorNames)[number], Float32Array>>;

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
  attn_qkv: 'self_attn.qkv_proj',
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

/** Hugging Face's name of a tensor, the name itself where we know none; null for rotary factors, which are in the config. */
export function ggufWeightName(family: ModelFamily, name: string): string | null {
  if ((ropeFactorNames as readonly string[]).includes(name)) return null;
  if (Object.hasOwn(WHOLE, name)) return WHOLE[name];
  const [, layer, part, kind] = /^blk\.(\d{1,4})\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (part === undefined || !Object.hasOwn(OF_LAYER, part)) return name;
  const { fusedProjections, blockNorms } = families[family];
  let module = OF_LAYER[part];
  // one matrix for gate and up goes by the name of the latter
  if (part === 'ffn_up' && fusedProjections) module = 'mlp.gate_up_proj';
  if (part === 'ffn_norm' && blockNorms === 'both') module = 'pre_feedforward_layernorm';
  return `model.layers.${Number(layer)}.${module}.${kind}`;
}

/** For each row of a weight of ours the row of the file's, null where they are the same. Source: the header of this file. */
export function ggufRowOrder(family: ModelFamily, name: string, rows: number, headDim: number): Uint32Array | null {
  const paired = Object.values(architectures).some((one) => one.family === family && one.paired);
  if (!paired || !/\.self_attn\.[qk]_proj\.(weight|bias)$/.test(name)) return null;
  const halfDim = headDim / 2;
  return Uint32Array.from({ length: rows }, (_, row) => {
    const within = row % headDim;
    return row - within + 2 * (within % halfDim) + Math.floor(within / halfDim);
  });
}
