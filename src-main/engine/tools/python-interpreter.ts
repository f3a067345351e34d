/**
 * One Python interpreter in this thread. It boots once up to a memory image and starts every call from that image: the
 * whole state of the module is its linear memory and its stack pointer (its table never changes and it has no other
 * mutable global), so copying both back undoes everything an earlier call did, also to modules, builtins and the heap.
 *
 * Booting stops in the middle of os._exit, by an exception thrown from the host through the interpreter's frames. A call
 * then enters at the vectorcall slot of the Python function `main`, as if os._exit had called it: no function of CPython
 * has to be found by index.
 */
import type { ToolResult } from '../../contract/records.ts';
import { assert } from '../base/assert.ts';
import { bootProgram, exitCode } from './python-driver.ts';
import { makePythonHost, type PythonHost, PythonStop } from './python-host.ts';
import { wasmPageBytes } from './python-module.ts';

/** A booted interpreter as data; may be copied to other threads that hold the same module. */
export type PythonImage = {
  memory: Uint8Array<ArrayBuffer>;
  stackPointer: number;
  /** address of the Python function object `main` */
  main: number;
  /** its entry point, an index into the function table */
  entry: number;
};

type Exports = {
  memory: WebAssembly.Memory;
  table: WebAssembly.Table;
  stackPointer: WebAssembly.Global;
  _start(): void;
};

/** Offset of `vectorcall` in PyFunctionObject of CPython 3.12 on 32 bits: the object head and 14 pointers come before it. */
const vectorcallOffset = 64;

function importNames(module: WebAssembly.Module): string[] {
  return WebAssembly.Module.imports(module).map(({ name }) => name);
}

function instantiate(module: WebAssembly.Module, host: PythonHost): Exports {
  const exports = new WebAssembly.Instance(module, host.imports).exports as unknown as Exports;
  host.attach(exports.memory);
  return exports;
}

/** Starts Python and takes its image (about 0.3 s). Throws when it does not come up, e.g. for too small a memory. */
export function bootPython(module: WebAssembly.Module): PythonImage {
  const host = makePythonHost(importNames(module), 65536);
  const python = instantiate(module, host);
  host.begin(Buffer.from(bootProgram));
  try {
    python._start();
  } catch (stop) {
    if (!(stop instanceof PythonStop) || stop.exitCode !== exitCode.booted) throw stop;
  }
  const main = Number(host.verdict().toString());
  assert(main > 0, 'the boot program of the Python tool ends with the address of main');
  const memory = new Uint8Array(python.memory.buffer).slice();
  const entry = new DataView(memory.buffer).getUint32(main + vectorcallOffset, true);
  return { memory, stackPointer: python.stackPointer.value as number, main, entry };
}

/** Cuts UTF-8 to at most `limit` bytes without a broken last character. */
function cut(bytes: Buffer, limit: number): string {
  if (bytes.length <= limit) return bytes.toString();
  let end = limit;
  while (end > 0 && (bytes[end] & 0b1100_0000) === 0b1000_0000) end--;
  return bytes.toString('utf8', 0, end);
}

export type PythonLimits = { memoryBytes: number; outputBytes: number };

/** Makes `run(code)`: one clean call, never throwing for what the code does. It may run for ever: ending the thread is the caller's duty. */
export function makeInterpreter(module: WebAssembly.Module, image: PythonImage, limits: PythonLimits) {
  const host = makePythonHost(importNames(module), limits.outputBytes);
  let python: Exports | undefined;

  /** An instance whose state is the image. Memory never shrinks: after a call that made it grow, a new instance is due. */
  function restored(): Exports {
    if (python?.memory.buffer.byteLength !== image.memory.length) {
      python = instantiate(module, host);
      python.memory.grow((image.memory.length - python.memory.buffer.byteLength) / wasmPageBytes);
    }
    new Uint8Array(python.memory.buffer).set(image.memory);
    python.stackPointer.value = image.stackPointer;
    return python;
  }

  function run(code: string): ToolResult {
    const start = performance.now();
    const instance = restored();
    host.begin(Buffer.from(code));
    let end: unknown;
    try {
      const main = instance.table.get(image.entry) as (
        callable: number,
        args: number,
        count: number,
        names: number,
      ) => number;
      main(image.main, 0, 0, 0);
    } catch (error) {
      end = error;
    }
    const [status, reason] = judge(end, instance);
    const printed = host.output();
    const text = printed.length > 0 ? printed : host.verdict();
    const isCut = text.length > limits.outputBytes;
    const milliseconds = performance.now() - start;
    if (reason === '') {
      const output = cut(text, limits.outputBytes).trimEnd();
      return { status: isCut ? 'output' : status, output, milliseconds };
    }
    return { status, output: joinLines(cut(printed, limits.outputBytes), reason), milliseconds };
  }

  /** How the call ended, and why where it failed: from our own stop, or from a trap of WebAssembly. */
  function judge(end: unknown, instance: Exports): [ToolResult['status'], string] {
    const isMemoryFull = instance.memory.buffer.byteLength > limits.memoryBytes - 16 * wasmPageBytes;
    if (!(end instanceof PythonStop)) {
      if (isMemoryFull) return ['memory', 'MemoryError'];
      // the C stack lies below all data: when it overflows, its pointer has come to the bottom of memory
      const isStackFull = (instance.stackPointer.value as number) < 4096;
      if (isStackFull || (end instanceof RangeError && end.message.includes('call stack'))) {
        return ['error', 'RecursionError: maximum recursion depth exceeded'];
      }
      return ['error', 'SystemError: the interpreter crashed'];
    }
    if (end.reason === 'output') return ['output', ''];
    const verdict = host.verdict().toString();
    switch (end.exitCode) {
      case 0: // os._exit(0)
      case exitCode.ok:
        return ['ok', ''];
      case exitCode.error:
        // CPython can lose its MemoryError on the way when there was no memory left for it
        return isMemoryFull && verdict.startsWith('SystemError') ? ['memory', 'MemoryError'] : ['error', verdict];
      case exitCode.memory:
        return ['memory', verdict];
      default:
        return ['error', `SystemExit: ${end.exitCode}`];
    }
  }

  return { run };
}

function joinLines(above: string, below: string): string {
  return above === '' || above.endsWith('\n') ? above + below : `${above}\n${below}`;
}
