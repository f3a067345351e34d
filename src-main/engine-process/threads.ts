import { availableParallelism } from 'node:os';

/** Threads of a run: those asked for, else one a core. */
export function threadsOf(threads: number): number {
  return threads > 0 ? threads : availableParallelism();
}
