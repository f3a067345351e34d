/** Every kind of graph that a run computes with, for one small model: what the capability table is made of and held against. */
import { randomStream } from '../../src-main/engine/base/random.ts';
import type { ProviderName } from '../../src-main/contract/providers.ts';
import type { Graph } from '../../src-main/engine/graph/graph.ts';
import { buildDecodeGraph } from '../../src-main/engine/model/decode-graph.ts';
import { buildDecodeLoop } from '../../src-main/engine/model/decode-loop.ts';
import { usualChunk } from '../../src-main/engine/rollout/decode-engine.ts';
import { type ModelConfig, parseModelConfig } from '../../src-main/engine/model/model-config.ts';
import {
  decoderOptions,
  makePolicy,
  type Policy,
  randomPolicy,
  trainable,
} from '../../src-main/engine/runtime/policy.ts';
import { adamwGraph, normGraph } from '../../src-main/engine/train/device-adamw.ts';
import type { PolicyLossOptions } from '../../src-main/engine/train/policy-loss.ts';
import { type TrainerSettings, trainingGraph } from '../../src-main/engine/train/trainer.ts';

const sizes = {
  vocab_size: 96,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  max_position_embeddings: 128,
};

export function smallConfig(vocabulary = sizes.vocab_size): ModelConfig {
  return parseModelConfig({
    ...sizes,
    model_type: 'qwen3',
    architectures: ['Qwen3ForCausalLM'],
    vocab_size: vocabulary,
    hidden_act: 'silu',
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    tie_word_embeddings: true,
    attention_bias: false,
  });
}

/** What other families have that this one has not: fused matrices, a part of each head turned; caps, GELU; windows. */
export function otherConfigs(): ModelConfig[] {
  return [
    { model_type: 'phi3', partial_rotary_factor: 0.5 },
    { model_type: 'gemma2' },
    { model_type: 'gemma3_text' },
  ].map((family) => parseModelConfig({ ...sizes, sliding_window: 5, ...family }));
}

/** Random weights, and an adapter on all linear layers of which both halves are random too. */
export function smallPolicies(vocabulary = 96, config = smallConfig(vocabulary)): { full: Policy; lora: Policy } {
  const random = randomStream(1, 'webgpu');
  const full = randomPolicy(config, random, 0.2);
  const targets = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
  const weights = new Map(full.base.specs.map(({ name }) => [name, full.base.tensors[name]]));
  const lora = makePolicy(config, weights, { rank: 4, alpha: 8, targets: [...targets] });
  const { flat } = lora.lora!.parameters;
  for (let i = 0; i < flat.length; i++) flat[i] = 0.1 * random.normal();
  return { full, lora };
}

export const policyObjective: PolicyLossOptions = {
  clipLow: 0.2,
  clipHigh: 0.2,
  delta: 2,
  klCoefficient: 0.01,
  klForm: 'corrected',
  importance: 'token',
  old: 'input',
};

export const trainerSettings: TrainerSettings = {
  objective: 'supervised',
  beta1: 0.9,
  beta2: 0.95,
  epsilon: 1e-8,
  weightDecay: 0.01,
  maxGradNorm: 1,
  aggregation: 'batch-token',
  maxTokens: 64,
  microBatchTokens: 2048,
  threads: 1,
  provider: 'webgpu',
};

/** The graphs, of free lengths or of fixed ones, in the form for a provider. */
export function ourGraphs(fixed = false, provider: ProviderName = 'webgpu'): Graph[] {
  const accumulating = provider === 'webgpu';
  const { full, lora } = smallPolicies();
  const large = smallPolicies(8192).lora;
  const others = otherConfigs().flatMap((config) => Object.values(smallPolicies(96, config)));
  const objectives = ['supervised', policyObjective, { ...policyObjective, importance: 'sequence' }] as const;
  const training = [full, lora, ...others].flatMap((policy) =>
    objectives.map((objective) =>
      trainingGraph(
        policy,
        { ...trainerSettings, objective, provider },
        { lengths: fixed ? { B: 2, T: 8, K: 6 } : undefined, accumulating },
      ),
    ),
  );
  const families = [full, lora, ...others].map((policy) =>
    trainingGraph(
      policy,
      { ...trainerSettings, objective: policyObjective, provider },
      { accumulating, branches: fixed ? { Q: 2, P: 4, S: 2, C: 3, K: 6 } : true },
    ),
  );
  const decoding = [full, lora, large, ...others].flatMap((policy) =>
    (['sampled', 'greedy'] as const).flatMap((sampling) =>
      [true, false].map((single) =>
        buildDecodeGraph(`decode-${single ? 'one' : 'several'}-${sampling}`, {
          ...decoderOptions(policy, 64, false, provider),
          sampling,
          single,
          // a cache in the GPU's memory is written in place
          append: accumulating,
          lengths: fixed ? { B: 2, S: single ? 1 : 3, P: 5, R: 1 } : undefined,
        }),
      ),
    ),
  );
  const loops = [full, lora, large, ...others].flatMap((policy) =>
    (['sampled', 'greedy'] as const).map((sampling) =>
      buildDecodeLoop(`decode-loop-${sampling}`, { ...decoderOptions(policy, 64, false, provider), sampling }),
    ),
  );
  if (!accumulating) return [...training, ...families, ...decoding, ...(usualChunk(provider) > 1 ? loops : [])];
  const { specs } = trainable(lora);
  return [...training, ...families, ...decoding, adamwGraph(specs, trainerSettings), normGraph(specs)];
}
