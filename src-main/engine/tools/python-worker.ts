/**
 * The thread that runs Python: takes the code of a call, answers with its result. It boots when it is given no image and
 * hands the image over, so that other workers and its own replacement start in milliseconds. Started by python-pool.ts.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { ToolResult } from '../../contract/records.ts';
import { assert } from '../base/assert.ts';
import { bootPython, makeInterpreter, type PythonImage, type PythonLimits } from './python-interpreter.ts';

export type WorkerStart = {
  module: WebAssembly.Module;
  image: PythonImage | undefined;
  limits: PythonLimits;
  /** [1] monotonic nanoseconds at which the running call began, 0 between calls: the pool's clock for time-outs */
  began: BigInt64Array<SharedArrayBuffer>;
};

export type WorkerMessage = { kind: 'ready'; image: PythonImage } | { kind: 'result'; result: ToolResult };

const port = parentPort;
assert(port, 'python-worker runs in a worker thread');
const { module, image: givenImage, limits, began } = workerData as WorkerStart;
const image = givenImage ?? bootPython(module);
const interpreter = makeInterpreter(module, image, limits);
// what the first call would compile and map
interpreter.run('1 + 1');

port.on('message', (code: string) => {
  Atomics.store(began, 0, process.hrtime.bigint());
  const result = interpreter.run(code);
  Atomics.store(began, 0, 0n);
  port.postMessage({ kind: 'result', result } satisfies WorkerMessage);
});
port.postMessage({ kind: 'ready', image } satisfies WorkerMessage);
