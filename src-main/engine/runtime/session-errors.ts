/** What ONNX Runtime, its providers and their drivers complain of, in the user's words. Which words mean what was seen on 1.30.0. */
import { ParetuneError } from '../../contract/errors.ts';
import type { ProviderName } from '../../contract/providers.ts';

/**
 * Want of memory in the words of ONNX Runtime, CUDA, Direct3D and Dawn, which only logs that a buffer could not be had and
 * then finds it invalid.
 */
export const outOfMemory =
  /allocat|bad_alloc|out of ?memory|Failed to create GPU buffer|Invalid Buffer.*previous error|exceeds the max buffer size/is;

/** An error of a run in the user's words: want of memory and faults of a GPU; others as they are. */
export function explained(error: Error, graph: string, provider: ProviderName): Error {
  if (outOfMemory.test(error.message)) {
    const where = provider === 'cpu' ? '' : ` on the GPU (${provider})`;
    return new ParetuneError('memory', `There is not enough memory${where} for the graph ${graph}: ${error.message}`, {
      cause: error,
      hint: 'Set train.recompute, or choose a smaller rolloutBatch, train.microBatchTokens, groupSize or limits.tokens.',
    });
  }
  if (provider === 'cpu') return error;
  return new ParetuneError('device', `The GPU (${provider}) failed in the graph ${graph}: ${error.message}`, {
    cause: error,
    hint: 'The last checkpoint is whole: `paretune resume RUN` goes on, with `--provider cpu` on the CPU.',
  });
}

/** Whether a session was refused only because the CPU would have had to help. */
export function fallsBack(error: unknown): boolean {
  return /fallback to CPU EP|Could not find an implementation/.test((error as Error).message);
}
