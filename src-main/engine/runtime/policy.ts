/**
 * A policy: the weights of a model, perhaps an adapter on them, and which of them training may change. Rollout and
 * training read the same arrays: a finished update is at once what the next rollout samples from.
 */
import type { ProviderName } from '../../contract/providers.ts';
import { type Random, randomStream } from '../base/random.ts';
import type { DecoderOptions } from '../model/decoder.ts';
import { initialLora, type LoraOptions, loraModules, loraSpecs, mergeLora, loraA, loraB } from '../model/lora.ts';
import type { ModelConfig } from '../model/model-config.ts';
import { weightSpecs } from '../model/weight-specs.ts';
import type { Graph } from '../graph/graph.ts';
import type { DeviceMemory, DeviceTensors } from './device-memory.ts';
import { fillParameters, halfParameters, makeParameters, type Parameters } from './parameters.ts';
import type { Tensor } from './session.ts';

export type Policy = {
  readonly config: ModelConfig;
  readonly base: Parameters;
  readonly lora: { readonly options: LoraOptions; readonly parameters: Parameters } | null;
};

/** Weights as read from a checkpoint; with `lora`, a fresh adapter (seeded) that changes nothing yet. */
export function makePolicy(
  config: ModelConfig,
  weights: ReadonlyMap<string, { data: Float32Array }>,
  lora: LoraOptions | null,
  seed = 0,
): Policy {
  const base = (lora?.base === 'float16' ? halfParameters : fillParameters)(weightSpecs(config), weights);
  if (lora === null) return { config, base, lora: null };
  const start = initialLora(config, lora, randomStream(seed, 'lora'));
  return { config, base, lora: { options: lora, parameters: fillParameters(loraSpecs(config, lora), start) } };
}

/** A model with random weights (normal, std 0.02; norms multiply by 1, biases 0): the start of training from nothing. */
export function randomPolicy(config: ModelConfig, random: Random, std = 0.02): Policy {
  const base = makeParameters(weightSpecs(config));
  for (const { name, role } of weightSpecs(config)) {
    const { data } = base.tensors[name];
    if (role === 'norm') data.fill(1 - config.normOffset);
    else if (role !== 'bias') for (let i = 0; i < data.length; i++) data[i] = random.normal() * std;
  }
  return { config, base, lora: null };
}

/** What training changes: the adapter where there is one, else everything. */
export function trainable(policy: Policy): Parameters {
  return policy.lora?.parameters ?? policy.base;
}

/** Whether the weights under an adapter are kept as float16. */
export function keptInHalves({ base }: Policy): boolean {
  return base.specs.some(({ name }) => base.tensors[name].half !== undefined);
}

/** Feeds of a session whose graph takes the weights as inputs. */
export function policyFeeds({ base, lora }: Policy): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (const { name, shape } of base.specs) {
    const { half } = base.tensors[name];
    feeds[name] = half ? { dtype: 'float16', shape, data: half } : base.tensors[name];
  }
  return { ...feeds, ...lora?.parameters.tensors };
}

/** The same from the GPU's memory: each weight is there once, whoever reads it. */
export async function deviceFeeds(memory: DeviceMemory, { base, lora }: Policy): Promise<DeviceTensors> {
  return { ...(await memory.mirror(base)), ...(lora && (await memory.mirror(lora.parameters))) };
}

/** The same policy, what training changes on memory of its own: the reference policy of a run, or a start to go back to. */
export function copyPolicy(policy: Policy): Policy {
  const copy = (parameters: Parameters) => makeParameters(parameters.specs, Float32Array.from(parameters.flat));
  if (policy.lora === null) return { ...policy, base: copy(policy.base) };
  return { ...policy, lora: { ...policy.lora, parameters: copy(policy.lora.parameters) } };
}

/** The weights with the adapter folded in: what is exported. Arrays are shared with the policy where nothing was folded. */
export function mergedWeights(policy: Policy): Map<string, { shape: number[]; data: Float32Array }> {
  const merged = new Map(
    policy.base.specs.map(({ name, shape }) => [name, { shape: [...shape], data: policy.base.tensors[name].data }]),
  );
  if (policy.lora === null) return merged;
  const { options, parameters } = policy.lora;
  for (const { module } of loraModules(policy.config, options.targets)) {
    const weight = merged.get(`${module}.weight`)!;
    const a = parameters.tensors[loraA(module)].data;
    const b = parameters.tensors[loraB(module)].data;
    merged.set(`${module}.weight`, { shape: weight.shape, data: mergeLora(weight.data, a, b, options) });
  }
  return merged;
}

/** How graphs of this policy hold their weights: as inputs (one shared copy), or frozen inside the graph (prepacked). */
export function decoderOptions(
  policy: Policy,
  maxPositions: number,
  frozen = false,
  provider: ProviderName = 'cpu',
): DecoderOptions {
  const { config, base, lora } = policy;
  const fusedMatMul = provider === 'cpu';
  const weight = (graph: Graph, name: string) => {
    const { shape, half } = base.tensors[name];
    if (frozen) return graph.initializer(name, 'float32', shape, base.tensors[name].data);
    // in the GPU's own memory (WebGPU) they are float32: not every device computes with halves
    return graph.input(name, half && provider !== 'webgpu' ? 'float16' : 'float32', shape);
  };
  if (lora === null) return { config, weight, maxPositions, fusedMatMul };
  const modules = new Set(loraModules(config, lora.options.targets).map(({ module }) => module));
  return { config, weight, maxPositions, fusedMatMul, lora: { ...lora.options, modules } };
}
