/** What a run keeps in memory, counted from the shapes of its model before anything is loaded. */
import { totalmem } from 'node:os';
import { providerOf } from '../contract/providers.ts';
import { type RunConfig, runConfigSchema } from '../contract/run-config.ts';
import type { Estimate } from '../contract/window-api.ts';
import { loraSpecs } from '../engine/model/lora.ts';
import type { ModelConfig } from '../engine/model/model-config.ts';
import { weightSpecs } from '../engine/model/weight-specs.ts';
import { LANE_BYTES, laneCount, mostLanes } from '../engine/rollout/lane-limits.ts';
import { elementCount } from '../engine/runtime/parameters.ts';
import { threadsOf } from './threads.ts';

/** The engine, its runtime and the tools, before any model; threads that decode come on top. */
const processBytes = 300_000_000;

/** `tight` above 70 % of the machine's memory, `exceeds` above all of it. */
export function memoryEstimate(model: ModelConfig, config: RunConfig): Estimate['memory'] {
  const parts = memoryParts(model, config);
  const needed = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const available = totalmem();
  const verdict = needed > available ? 'exceeds' : needed > 0.7 * available ? 'tight' : 'fits';
  return { needed, available, verdict, parts };
}

/** The sum alone for an adapter with the default settings, before there are any. */
export function adapterMemory(model: ModelConfig): Omit<Estimate['memory'], 'parts'> {
  const settings = { model: '-', tasks: ['-'], train: { parameters: 'lora' } };
  const { parts: _, ...sum } = memoryEstimate(model, runConfigSchema.parse(settings));
  return sum;
}

/** Bytes of what a run keeps, all float32. */
export function memoryParts(
  model: ModelConfig,
  { train, limits, rolloutBatch, threads, provider }: RunConfig,
): Estimate['memory']['parts'] {
  const sizeOf = (specs: readonly { shape: readonly number[] }[]) =>
    specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const all = sizeOf(weightSpecs(model));
  const lora = train.parameters === 'lora' ? train.lora : null;
  const trainable = lora === null ? all : sizeOf(loraSpecs(model, lora));
  const tokens = Math.min(limits.tokens, model.maxPositions);
  // norms on both sides of a block and a cap of the logits keep more of their insides
  const { blockNorms, logitCap } = model;
  const perLayer = (blockNorms === 'both' ? 20 : 16) * model.hiddenSize + 4 * model.feedForwardSize;
  const perLogit = logitCap === null ? 3 : 4;
  // computed again: the inputs of all layers, the inside of one, and a part of the head
  const perToken = train.recompute
    ? model.layers * model.hiddenSize + 2 * perLayer
    : model.layers * perLayer + perLogit * model.vocabSize;
  const isOnCpu = providerOf(provider) === 'cpu';
  const lanes = isOnCpu ? laneCount(rolloutBatch, mostLanes(all, threadsOf(threads))) : 1;
  return [
    { name: 'process', bytes: processBytes + LANE_BYTES * (lanes - 1) },
    // the policy and the start policy; under an adapter, which they share, what was read and what is kept of it
    { name: 'weights', bytes: (lora?.base === 'float16' ? 6 : 8) * all },
    // gradient and two moments
    { name: 'optimizer', bytes: 12 * trainable },
    { name: 'rollouts', bytes: 8 * rolloutBatch * tokens * model.layers * model.kvHeads * model.headDim },
    { name: 'activations', bytes: 4 * train.microBatchTokens * perToken },
  ];
}
