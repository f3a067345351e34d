/** A thread that answers questions: values and errors cross, and what was asked of a thread that ends is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { openThread } from '../../src-main/engine/base/thread.ts';

const ended = new ParetuneError('engine', 'The thread has ended.');
const open = (workerData: unknown = {}) => openThread('answering-thread', import.meta.url, workerData, ended);

test('answers are values or promises, and errors keep their code, message and hint', async () => {
  const { ask, close } = await open();
  assert.deepEqual(await Promise.all([ask({ double: 2 }), ask({ later: 3 })]), [4, 3]);
  await assert.rejects(ask({ fail: 'a file' }), { code: 'bad-file', message: 'a file is bad', hint: 'Mend it.' });
  await assert.rejects(ask({}), { message: 'nothing asked' });
  assert.equal(await ask({ double: 5 }), 10);
  await close();
  await assert.rejects(ask({ double: 1 }), { code: 'engine', message: 'The thread has ended.' });
});

test('a thread that cannot open, and one that ends or throws by itself, reject what was asked of them', async () => {
  await assert.rejects(open({ broken: true }), { code: 'not-found' });
  const { ask } = await open();
  await assert.rejects(ask({ exit: 1 }), { code: 'engine' });
  await assert.rejects(ask({ double: 1 }), { code: 'engine' });
});

test('memory that is shared is the same on both sides', async () => {
  const numbers = new Float32Array(new SharedArrayBuffer(8));
  const { ask, close } = await open({ numbers });
  await ask({ write: 7 });
  assert.equal(numbers[1], 7);
  await close();
});
