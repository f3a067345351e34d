/**
 * The readers of a store in a thread of their own: the same functions, each returning a promise. For the window and for
 * long searches, so that the engine never waits for a view.
 */
import { Worker } from 'node:worker_threads';
import { type ErrorRecord, ParetuneError } from '../contract/errors.ts';
import { type Readers, readerNames } from './readers.ts';

export type Question = { id: number; name: keyof Readers; args: unknown[] };
export type Answer = { id: number; value: unknown } | { id: number; error: ErrorRecord };

export type Reader = {
  [K in keyof Readers]: (...args: Parameters<Readers[K]>) => Promise<ReturnType<Readers[K]>>;
} & {
  /** Ends the thread; questions without an answer yet reject. */
  close(): Promise<void>;
};

type Waiting = { resolve(value: unknown): void; reject(error: Error): void };

/** Opens the store of a folder for reading, in a worker. Rejects as openStore throws. */
export async function openReader(dataFolder: string): Promise<Reader> {
  // Sources run as .ts, a build as .js: the worker is whatever this file is.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`./reader-worker.${extension}`, import.meta.url), { workerData: { dataFolder } });
  const waiting = new Map<number, Waiting>();
  let nextId = 1;
  let ended: Error | null = null;

  function end(error: Error): void {
    ended ??= error;
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
    worker.unref();
  }
  worker.on('message', (answer: Answer) => {
    const asked = waiting.get(answer.id);
    waiting.delete(answer.id);
    if (waiting.size === 0) worker.unref();
    if ('error' in answer) asked?.reject(toError(answer.error));
    else asked?.resolve(answer.value);
  });
  worker.on('error', end);
  worker.on('exit', () =>
    end(new ParetuneError('engine', 'The reader of the database has ended.', { hint: 'Open it again.' })),
  );

  function expect(id: number): Promise<unknown> {
    // A question keeps the process alive until it is answered; an idle reader does not.
    worker.ref();
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
    });
  }
  function ask(name: keyof Readers, args: unknown[]): Promise<unknown> {
    if (ended !== null) return Promise.reject(ended);
    const id = nextId++;
    const answer = expect(id);
    worker.postMessage({ id, name, args } satisfies Question);
    return answer;
  }

  try {
    await expect(0);
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  const functions = Object.fromEntries(readerNames.map((name) => [name, (...args: unknown[]) => ask(name, args)]));
  return { ...(functions as Omit<Reader, 'close'>), close: async () => void (await worker.terminate()) };
}

function toError(record: ErrorRecord): Error {
  if (record.code === 'internal') return new Error(record.message);
  return new ParetuneError(record.code, record.message, { hint: record.hint });
}
