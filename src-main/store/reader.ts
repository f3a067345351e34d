/**
 * The readers of a store in a thread of their own: the same functions, each returning a promise. For the window and for
 * long searches, so that the engine never waits for a view.
 */
import { ParetuneError } from '../contract/errors.ts';
import { openThread } from '../engine/base/thread.ts';
import { type Readers, readerNames } from './readers.ts';

export type Question = { name: keyof Readers; args: unknown[] };

export type Reader = {
  [K in keyof Readers]: (...args: Parameters<Readers[K]>) => Promise<ReturnType<Readers[K]>>;
} & {
  /** Ends the thread; questions without an answer yet reject. */
  close(): Promise<void>;
};

/** Opens the store of a folder for reading, in a worker. Rejects as openStore throws. */
export async function openReader(dataFolder: string): Promise<Reader> {
  const ended = new ParetuneError('engine', 'The reader of the database has ended.', { hint: 'Open it again.' });
  const { ask, close } = await openThread('reader-worker', import.meta.url, { dataFolder }, ended);
  const asking = (name: keyof Readers) => [name, (...args: unknown[]) => ask({ name, args } satisfies Question)];
  return { ...(Object.fromEntries(readerNames.map(asking)) as Omit<Reader, 'close'>), close };
}
