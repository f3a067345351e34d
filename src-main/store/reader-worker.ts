/**
 * The worker thread of reader.ts: opens the store for reading and answers one question at a time. SQLite cannot be
 * interrupted here, so a long query runs beside the engine instead of in it.
 */
import { workerData } from 'node:worker_threads';
import { assert } from '../engine/base/assert.ts';
import { answerQuestions } from '../engine/base/thread.ts';
import { openStore } from './open-store.ts';
import type { Question } from './reader.ts';
import { readerNames } from './readers.ts';

const { dataFolder } = workerData as { dataFolder: string };

answerQuestions(() => {
  const store = openStore(dataFolder, { mode: 'read' });
  return ({ name, args }: Question) => {
    assert(readerNames.includes(name), `no reader ${name}`);
    const read = store[name] as (...args: unknown[]) => unknown;
    return read(...args);
  };
});
