/** Logits of whole sequences, as training sees them: to hold an export or a provider against. */
import type { ProviderName } from '../../contract/providers.ts';
import { buildSequenceGraph } from '../model/sequence-graph.ts';
import type { DeviceMemory } from '../runtime/device-memory.ts';
import { decoderOptions, deviceFeeds, type Policy, policyFeeds } from '../runtime/policy.ts';
import { createSession, type OnFallback } from '../runtime/session.ts';
import { packBatch } from '../train/pack-batch.ts';

export type LogitsSettings = {
  threads: number;
  provider?: ProviderName;
  /** of the GPU that holds the weights (WebGPU only) */
  memory?: DeviceMemory;
  onFallback?: OnFallback;
};

/** Logits [T - 1, V] of each sequence of T tokens: those that predict its tokens from the second on. */
export async function sequenceLogits(
  policy: Policy,
  sequences: readonly (readonly number[])[],
  { memory, ...settings }: LogitsSettings,
): Promise<Float32Array[]> {
  const longest = Math.max(...sequences.map((tokens) => tokens.length));
  const { graph, logits } = buildSequenceGraph('probe', decoderOptions(policy, longest, false, settings.provider));
  graph.output('logits', logits[0]);
  const session = await createSession(graph, settings);
  const results: Float32Array[] = [];
  for (const tokens of sequences) {
    const trained = Array.from({ length: tokens.length - 1 }, (_, t) => t + 1);
    const [{ feeds }] = packBatch([{ tokens: [...tokens], trained, advantage: 0 }], [1], 1);
    const weights = memory ? await deviceFeeds(memory, policy) : policyFeeds(policy);
    results.push((await session.run({ ...weights, ...feeds })).logits.data as Float32Array);
  }
  await session.dispose();
  return results;
}
