/**
 * A worker thread that answers questions, one message each: the side that asks and the side that answers. A question keeps the
 * process alive until it is answered; an idle thread does not.
 */
import { extname } from 'node:path';
import { parentPort, Worker } from 'node:worker_threads';
import { type ErrorRecord, ParetuneError, toErrorRecord } from '../../contract/errors.ts';
import { assert } from './assert.ts';

type Question = { id: number; question: unknown };
type Answer = { id: number; value: unknown } | { id: number; error: ErrorRecord };
type Waiting = { resolve(value: unknown): void; reject(error: Error): void };

export type Thread = {
  /** Rejects as the other side throws. Questions are answered in their order where the answers are not promises. */
  ask(question: unknown): Promise<unknown>;
  /** Ends the thread; questions without an answer yet reject. */
  close(): Promise<void>;
};

/**
 * Starts the thread of the file `name` beside the asking one (`import.meta.url`: .ts in a checkout, .js in a build) and waits
 * until it answers. `ended` is what questions get once it is no more.
 */
export async function openThread(
  name: string,
  asking: string,
  workerData: unknown,
  ended: ParetuneError,
): Promise<Thread> {
  const worker = new Worker(new URL(`./${name}${extname(asking)}`, asking), { workerData, name });
  const waiting = new Map<number, Waiting>();
  let nextId = 1;
  let end: Error | null = null;

  function endAll(error: Error): void {
    end ??= error;
    for (const { reject } of waiting.values()) reject(end);
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
  worker.on('error', endAll);
  worker.on('messageerror', endAll);
  worker.on('exit', () => endAll(ended));

  function expect(id: number): Promise<unknown> {
    worker.ref();
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
    });
  }

  try {
    await expect(0);
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  return {
    ask(question) {
      if (end !== null) return Promise.reject(end);
      const id = nextId++;
      try {
        worker.postMessage({ id, question } satisfies Question);
      } catch (error) {
        return Promise.reject(error);
      }
      return expect(id);
    },
    close: async () => void (await worker.terminate()),
  };
}

/** In the thread: opens what it works with, says so, and answers each question. */
export function answerQuestions(open: () => (question: never) => unknown): void {
  const port = parentPort;
  assert(port !== null, 'this file runs only as a worker');
  const reply = async (id: number, work: () => unknown) => {
    try {
      port.postMessage({ id, value: await work() } satisfies Answer);
    } catch (error) {
      port.postMessage({ id, error: toErrorRecord(error) } satisfies Answer);
    }
  };
  void reply(0, () => {
    const answer = open();
    port.on('message', ({ id, question }: Question) => void reply(id, () => answer(question as never)));
  });
}

function toError({ code, message, hint }: ErrorRecord): Error {
  return code === 'internal' ? new Error(message) : new ParetuneError(code, message, { hint });
}
