/**
 * How a run goes on by itself after its GPU failed, as the user chose (`onProviderFailure`). Where the process still answers,
 * engine/run/run-provider.ts does it within a step; where the driver hung, brought the engine down or must be opened anew,
 * whoever supervises the engine resumes the run from its last checkpoint in a new one.
 */
import { providerOf } from './providers.ts';
import type { RunConfig } from './run-config.ts';

/** The settings that change: the CPU instead of the GPU, or smaller batches on it. */
export type Rescue = { provider: 'cpu' } | { rolloutBatch: number; microBatchTokens: number };

/** What decides it. */
export type RescueSettings = Pick<RunConfig, 'provider' | 'onProviderFailure' | 'rolloutBatch'> & {
  train: Pick<RunConfig['train'], 'microBatchTokens'>;
};

/** The least that the settings allow. */
const SMALLEST_MICRO_BATCH = 64;

/** Null where the run uses no GPU, is to stop, or has the smallest batches already. */
export function rescueOf(config: RescueSettings): Rescue | null {
  if (providerOf(config.provider) === 'cpu' || config.onProviderFailure === 'stop') return null;
  if (config.onProviderFailure === 'cpu') return { provider: 'cpu' };
  const rolloutBatch = Math.ceil(config.rolloutBatch / 2);
  const microBatchTokens = Math.max(SMALLEST_MICRO_BATCH, Math.floor(config.train.microBatchTokens / 2));
  if (rolloutBatch === config.rolloutBatch && microBatchTokens === config.train.microBatchTokens) return null;
  return { rolloutBatch, microBatchTokens };
}

/** The settings of a run with those of a rescue, or of a part of one. */
export function withRescue(
  config: RunConfig,
  {
    provider = config.provider,
    rolloutBatch = config.rolloutBatch,
    microBatchTokens = config.train.microBatchTokens,
  }: {
    provider?: RunConfig['provider'];
    rolloutBatch?: number;
    microBatchTokens?: number;
  },
): RunConfig {
  return { ...config, provider, rolloutBatch, train: { ...config.train, microBatchTokens } };
}

/** How it goes on, as the end of a sentence. */
export function describeRescue(rescue: Rescue): string {
  if ('provider' in rescue) return 'on the CPU';
  return `with rolloutBatch ${rescue.rolloutBatch} and train.microBatchTokens ${rescue.microBatchTokens}`;
}
