/**
 * A few Python workers and the calls that wait for them. The pool owns what an interpreter cannot do about itself: its
 * thread is ended when a call runs too long, and replaced from the same image. Workers start with the first call and hold
 * the process only while a call runs.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { ParetuneError } from '../../contract/errors.ts';
import type { ToolResult } from '../../contract/records.ts';
import type { PythonImage, PythonLimits } from './python-interpreter.ts';
import { loadPythonModule } from './python-module.ts';
import type { WorkerMessage, WorkerStart } from './python-worker.ts';

export type PythonPool = {
  /** One clean call. Rejects only when the interpreter cannot be started or its thread dies. */
  run(code: string): Promise<ToolResult>;
  close(): Promise<void>;
};

type Job = { code: string; resolve: (result: ToolResult) => void; reject: (error: unknown) => void };

type Slot = {
  worker: Worker;
  began: BigInt64Array<SharedArrayBuffer>;
  job: Job | undefined;
  timer: NodeJS.Timeout | undefined;
  /** we ended it ourselves: its exit is no failure */
  isRetired: boolean;
};

/** This file is .ts in a checkout and .js in a build; the worker beside it is the same. */
const workerFile = new URL(`./python-worker${extname(import.meta.url)}`, import.meta.url);

/** `workers` threads, each call at most `timeoutMs` milliseconds of wall clock from when its worker begins it. */
export function makePythonPool(workers: number, timeoutMs: number, limits: PythonLimits): PythonPool {
  const slots = new Set<Slot>();
  const idle: Slot[] = [];
  const waiting: Job[] = [];
  let loaded: { module: WebAssembly.Module; image: PythonImage } | undefined;
  let isStarted = false;
  let closed = false;

  async function start(): Promise<void> {
    const module = await loadPythonModule(limits.memoryBytes);
    if (closed) return;
    loaded = { module, image: await launch(module, undefined) };
    for (let i = 1; i < workers; i++) replace();
  }

  /** Nobody is left to answer: who waits is told, and the next call tries a new start. */
  function fail(error: unknown): void {
    isStarted = false;
    for (const job of waiting.splice(0)) job.reject(error);
  }

  /** A new worker; resolves with its image when it is ready, rejects when it ends before. */
  function launch(module: WebAssembly.Module, image: PythonImage | undefined): Promise<PythonImage> {
    return new Promise((resolve, reject) => {
      const began = new BigInt64Array(new SharedArrayBuffer(8));
      const workerData: WorkerStart = { module, image, limits, began };
      const worker = new Worker(workerFile, { workerData, env: {}, execArgv: [], name: 'python tool' });
      const slot: Slot = { worker, began, job: undefined, timer: undefined, isRetired: false };
      slots.add(slot);
      let cause: unknown;
      worker.on('message', (message: WorkerMessage) => {
        if (message.kind === 'ready') resolve(message.image);
        else finish(slot, message.result);
        release(slot);
      });
      worker.on('error', (error) => {
        cause = error;
      });
      worker.on('exit', () => {
        slots.delete(slot);
        if (slot.isRetired) return;
        const reason = cause instanceof Error ? `: ${cause.message}` : '';
        const error = new ParetuneError('tool', `The Python tool's thread ended by itself${reason}.`, { cause });
        clearTimeout(slot.timer);
        slot.job?.reject(error);
        reject(error);
        const place = idle.indexOf(slot);
        if (place >= 0) idle.splice(place, 1);
        if (slot.job || place >= 0) replace();
      });
    });
  }

  /** One worker more, in the background. Where that fails, the others go on without it. */
  function replace(): void {
    if (loaded === undefined || closed) return;
    launch(loaded.module, loaded.image).catch((error: unknown) => {
      if (slots.size === 0) fail(error);
    });
  }

  function release(slot: Slot): void {
    if (slot.isRetired) return;
    slot.worker.unref();
    idle.push(slot);
    dispatch();
  }

  function dispatch(): void {
    while (idle.length > 0 && waiting.length > 0) {
      const slot = idle.shift()!;
      const job = waiting.shift()!;
      slot.job = job;
      slot.worker.ref();
      slot.timer = setTimeout(watch, timeoutMs, slot);
      slot.worker.postMessage(job.code);
    }
  }

  function finish(slot: Slot, result: ToolResult): void {
    clearTimeout(slot.timer);
    slot.job?.resolve(result);
    slot.job = undefined;
  }

  /**
   * The timer only says when to look: what counts is the time since the worker began. A main thread that was busy finds
   * the call finished (0, its message is under way), a starved worker gets the time it has not had.
   */
  function watch(slot: Slot): void {
    const began = Atomics.load(slot.began, 0);
    const milliseconds = began === 0n ? 0 : Number(process.hrtime.bigint() - began) / 1e6;
    if (milliseconds < timeoutMs) {
      slot.timer = setTimeout(watch, timeoutMs - milliseconds, slot);
      return;
    }
    retire(slot);
    finish(slot, { status: 'timeout', output: `TimeoutError: stopped after ${timeoutMs / 1000} s`, milliseconds });
    replace();
  }

  function retire(slot: Slot): Promise<number> {
    slot.isRetired = true;
    slots.delete(slot);
    clearTimeout(slot.timer);
    return slot.worker.terminate();
  }

  return {
    run(code) {
      return new Promise((resolve, reject) => {
        if (closed) throw new ParetuneError('tool', 'The Python tool is closed.');
        waiting.push({ code, resolve, reject });
        if (!isStarted) start().catch(fail);
        isStarted = true;
        dispatch();
      });
    },
    async close() {
      closed = true;
      const error = new ParetuneError('tool', 'The Python tool was closed while a call was waiting.');
      const running = [...slots].flatMap(({ job }) => job ?? []);
      for (const job of [...running, ...waiting.splice(0)]) job.reject(error);
      await Promise.all([...slots].map(retire));
    },
  };
}
