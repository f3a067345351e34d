/** The other side of thread.test.ts. */
import { workerData } from 'node:worker_threads';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { answerQuestions } from '../../src-main/engine/base/thread.ts';

type Asked = { double?: number; later?: number; fail?: string; exit?: number; write?: number };

answerQuestions(() => {
  const { broken, numbers } = workerData as { broken?: boolean; numbers?: Float32Array };
  if (broken) throw new ParetuneError('not-found', 'nothing to open');
  return ({ double, later, fail, exit, write }: Asked) => {
    if (double !== undefined) return 2 * double;
    if (later !== undefined) return new Promise((resolve) => setTimeout(resolve, 5, later));
    if (fail !== undefined) throw new ParetuneError('bad-file', `${fail} is bad`, { hint: 'Mend it.' });
    if (exit !== undefined) process.exit(exit);
    if (write !== undefined) return numbers!.fill(write).length;
    throw new Error('nothing asked');
  };
});
