/**
 * The python tool: a program in, what it printed out. Each call runs in a clean CPython 3.12 inside WebAssembly, with no
 * way to the machine (python-host.ts lists all it can reach) and bounded time, memory and output. When nothing was printed
 * and the last statement is an expression, its str() is the output, as at a prompt; an exception is one line below what
 * was printed.
 *
 * The answer is a function of the code alone: `random` is seeded with 0, hashes do not vary, the clock starts on
 * 2024-01-01 and advances by counting, sleeping takes no time. Only a time-out depends on the machine. Imports: the
 * standard library; no SymPy, no NumPy, no ctypes, threads, processes, sockets or files (the packed library can be read).
 * One thing differs from CPython on 64 bits and is mapped: a sequence longer than 2^31 is a MemoryError there and an
 * OverflowError here.
 */
import { availableParallelism } from 'node:os';
import { ParetuneError } from '../../contract/errors.ts';
import { checkAnswer } from './health.ts';
import { minimumMemoryBytes } from './python-module.ts';
import { makePythonPool } from './python-pool.ts';
import type { Tool } from './tool.ts';

export type PythonOptions = {
  /** threads; two when there are two cores */
  workers?: number;
  /** wall clock of one call, milliseconds, from when a worker begins it */
  timeoutMs?: number;
  /** 32 MiB to 2 GiB, interpreter included (16 MiB) */
  memoryBytes?: number;
  /** bytes of UTF-8 that one call may print */
  outputBytes?: number;
};

function requireRange(name: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new ParetuneError(
    'config',
    `${name} of the python tool is ${value}; it must be a whole number from ${low} to ${high}.`,
  );
}

/** The python tool; its primary argument is `code`. Throws a ParetuneError for a limit out of range. */
export function makePythonTool(options: PythonOptions = {}): Tool {
  const workers = options.workers ?? Math.min(2, availableParallelism());
  const timeoutMs = options.timeoutMs ?? 2000;
  const memoryBytes = options.memoryBytes ?? 128 * 2 ** 20;
  const outputBytes = options.outputBytes ?? 16 * 1024;
  requireRange('workers', workers, 1, 64);
  requireRange('timeoutMs', timeoutMs, 1, 600_000);
  requireRange('memoryBytes', memoryBytes, minimumMemoryBytes, 2 ** 31 - 1);
  requireRange('outputBytes', outputBytes, 1, 2 ** 24);
  const pool = makePythonPool(workers, timeoutMs, { memoryBytes, outputBytes });

  const tool: Tool = {
    spec: {
      name: 'python',
      description: 'Runs a Python 3.12 program and returns what it prints. Nothing is kept from call to call.',
      parameters: {
        type: 'object',
        properties: { code: { type: 'string', description: 'the program' } },
        required: ['code'],
      },
    },
    primaryArgument: 'code',
    async call({ code }) {
      if (typeof code === 'string') return pool.run(code);
      return { status: 'error', output: 'error: the argument `code` must be a text', milliseconds: 0 };
    },
    check: () => checkAnswer(tool, { code: 'import math\nprint(math.comb(10, 3) + 2 ** 70 % 1009)' }, '480'),
    close: () => pool.close(),
  };
  return tool;
}
