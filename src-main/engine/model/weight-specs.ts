/**
 * Name, shape and role of every weight of a model, in the names of Hugging Face checkpoints. The one list that loading,
 * saving, graph building, LoRA targets and the optimizer agree on; it holds no values.
 */
import type { ModelConfig } from './model-config.ts';

/** `linear` matrices are [out, in]; `embedding` and `head` are [vocabulary, width]. Weight decay skips `norm` and `bias`. */
export type WeightRole = 'embedding' | 'head' | 'norm' | 'linear' | 'bias';
export type WeightSpec = { name: string; shape: number[]; role: WeightRole };

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
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    if (!config.postNorm) norm(`${prefix}.input_layernorm`, width);
    linear(`${prefix}.self_attn.q_proj`, queryWidth, width, config.qkvBias);
    linear(`${prefix}.self_attn.k_proj`, keyWidth, width, config.qkvBias);
    linear(`${prefix}.self_attn.v_proj`, keyWidth, width, config.qkvBias);
    if (config.qkNorm !== 'none') {
      norm(`${prefix}.self_attn.q_norm`, config.qkNorm === 'head' ? headDim : queryWidth);
      norm(`${prefix}.self_attn.k_norm`, config.qkNorm === 'head' ? headDim : keyWidth);
    }
    linear(`${prefix}.self_attn.o_proj`, width, queryWidth, config.outputBias);
    norm(`${prefix}.post_attention_layernorm`, width);
    linear(`${prefix}.mlp.gate_proj`, feedForwardSize, width, config.mlpBias);
    linear(`${prefix}.mlp.up_proj`, feedForwardSize, width, config.mlpBias);
    linear(`${prefix}.mlp.down_proj`, width, feedForwardSize, config.mlpBias);
    if (config.postNorm) norm(`${prefix}.post_feedforward_layernorm`, width);
  }
  norm('model.norm', width);
  if (!config.tiedEmbeddings) specs.push({ name: 'lm_head.weight', shape: [vocabSize, width], role: 'head' });
  return specs;
}
