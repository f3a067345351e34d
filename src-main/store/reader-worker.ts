/**
 * The worker thread of reader.ts: opens the store for reading and answers one question at a time. SQLite cannot be
 * interrupted here, so a long query runs beside the engine instead of in it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { toErrorRecord } from '../contract/errors.ts';
import { assert } from '../engine/base/assert.ts';
import { openStore } from './open-store.ts';
import type { Answer, Question } from './reader.ts';
import { readerNames } from './readers.ts';

const port = parentPort;
assert(port !== null, 'reader-worker.ts runs only as a worker');
const { dataFolder } = workerData as { dataFolder: string };

try {
  const store = openStore(dataFolder, { mode: 'read' });
  port.on('message', ({ id, name, args }: Question) => {
    let answer: Answer;
    try {
      assert(readerNames.includes(name), `no reader ${name}`);
      const read = store[name] as (...args: unknown[]) => unknown;
      answer = { id, value: read(...args) };
    } catch (error) {
      answer = { id, error: toErrorRecord(error) };
    }
    port.postMessage(answer);
  });
  port.postMessage({ id: 0, value: null } satisfies Answer);
} catch (error) {
  port.postMessage({ id: 0, error: toErrorRecord(error) } satisfies Answer);
}
