/**
 * Name, shape and role of every weight of a model, in the names of Hugging Face checkpoints. The one list that loading,
 * saving, graph building, LoRA targets and the optimizer agree on; it holds no values.
 */
import type { ModelConfig } from './model-config.ts';
import type { BlockNorms } from './model-families.ts';

/** `linear` matrices are [out, in]; `embedding` and `head` are [vocabulary, width]. Weight decay skips `norm` and `bias`. */
export type WeightRole = 'embedding' | 'head' | 'norm' | 'linear' | 'bias';
export type WeightSpec = { name: string; shape: number[]; role: WeightRole };

/** The norms of a block by where they stand, null where there is none. */
export const normNames: Record<
  BlockNorms,
  Record<'attentionIn' | 'attentionOut' | 'feedIn' | 'feedOut', string | null>
> = {
  before: {
    attentionIn: 'input_layernorm',
    attentionOut: null,
    feedIn: 'post_attention_layernorm',
    feedOut: null,
  },
  after: {
    attentionIn: null,
    attentionOut: 'post_attention_layernorm',
    feedIn: null,
    feedOut: 'post_feedforward_layernorm',
  },
  both: {
    attentionIn: 'input_layernorm',
    attentionOut: 'post_attention_layernorm',
    feedIn: 'pre_feedforward_layernorm',
    feedOut: 'post_feedforward_layernorm',
  },
};

/** The weights of a model in the order the computation meets them; `lm_head.weight` only where the head is its own matrix. */
export function weightSpecs(config: ModelConfig): WeightSpec[] {
  const { hiddenSize: width, feedForwardSize, vocabSize, headDim } = config;
  const queryWidth = config.heads * headDim;
  const keyWidth = config.kvHeads * headDim;
  const specs: WeightSpec[] = [{ name: 'model.embed_tokens.weight', shape: [vocabSize, width], role: 'embedding' }];
  const norm = (name: string, size: number) => specs.push({ name: `${name}.weight`, shape: [size], role: 'norm' });
  const linear = (name: string, outputs: number, inputs: number, bias: boolean) => {
    specs.push({ name: `${name}.weight`, shape: [outputs, inputs], role: 'linear' });
    if (bias) specs.push({ name: `${name}.bias`, shape: [outputs], role: 'bias' });
  };
  const names = normNames[config.blockNorms];
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    const blockNorm = (name: string | null) => name !== null && norm(`${prefix}.${name}`, width);
    blockNorm(names.attentionIn);
    if (config.fusedProjections) {
      linear(`${prefix}.self_attn.qkv_proj`, queryWidth + 2 * keyWidth, width, config.qkvBias);
    } else {
      linear(`${prefix}.self_attn.q_proj`, queryWidth, width, config.qkvBias);
      linear(`${prefix}.self_attn.k_proj`, keyWidth, width, config.qkvBias);
      linear(`${prefix}.self_attn.v_proj`, keyWidth, width, config.qkvBias);
    }
    if (config.qkNorm !== 'none') {
      norm(`${prefix}.self_attn.q_norm`, config.qkNorm === 'head' ? headDim : queryWidth);
      norm(`${prefix}.self_attn.k_norm`, config.qkNorm === 'head' ? headDim : keyWidth);
    }
    linear(`${prefix}.self_attn.o_proj`, width, queryWidth, config.outputBias);
    blockNorm(names.attentionOut);
    blockNorm(names.feedIn);
    if (config.fusedProjections) {
      linear(`${prefix}.mlp.gate_up_proj`, 2 * feedForwardSize, width, config.mlpBias);
    } else {
      linear(`${prefix}.mlp.gate_proj`, feedForwardSize, width, config.mlpBias);
      linear(`${prefix}.mlp.up_proj`, feedForwardSize, width, config.mlpBias);
    }
    linear(`${prefix}.mlp.down_proj`, width, feedForwardSize, config.mlpBias);
    blockNorm(names.feedOut);
  }
  norm('model.norm', width);
  if (!config.tiedEmbeddings) specs.push({ name: 'lm_head.weight', shape: [vocabSize, width], role: 'head' });
  return specs;
}
