/**
 * The whole world that Python code can reach: the WASI functions its module imports, answered from memory. Nothing here
 * touches the machine: no file, no socket, no process, no environment, no real clock, no real randomness. A function that
 * is not listed is refused with "not implemented". Pointers come from untrusted code: every access goes through a DataView
 * or Uint8Array over the module's own memory, so a wild one is a RangeError and ends the call, nothing else.
 *
 * Time is virtual: it starts at the same instant in every call, each reading advances it by a microsecond and a sleep by
 * its length at once. Random bytes come from the same stream in every call. So the output is a function of the code alone.
 *
 * Source: the WASI preview 1 interface (snapshot_01). Three descriptors exist: 0 is read for the code of the call and
 * written for the driver's verdict (python-driver.ts), 1 is the output, 2 is swallowed.
 */
import { philox } from '../base/random.ts';

/** Thrown through the interpreter to end a call: by exit code, or because it printed more than it may. */
export class PythonStop {
  readonly reason: 'exit' | 'output';
  readonly exitCode: number;

  constructor(reason: 'exit' | 'output', exitCode: number) {
    this.reason = reason;
    this.exitCode = exitCode;
  }
}

const errno = { badDescriptor: 8, notImplemented: 52, notSupported: 58, notSeekable: 70 };
const epochNanoseconds = 1_704_067_200_000_000_000n; // 2024-01-01T00:00:00Z
const arguments_ = ['python', '-I', '-B', '-c', 'import os; exec(os.read(0, 1 << 20))'];

type WasiFunction = (...args: never[]) => number;

export type PythonHost = {
  imports: Record<string, Record<string, WasiFunction>>;
  /** Must be called with the memory of the instance before it runs, and again for another instance. */
  attach(memory: WebAssembly.Memory): void;
  /** Resets clock, randomness and descriptors for one call that reads `input`. */
  begin(input: Uint8Array): void;
  /** What was written since `begin`. */
  output(): Buffer;
  verdict(): Buffer;
};

/** The imports for one module; `outputBytes` bounds what one call may print. */
export function makePythonHost(names: readonly string[], outputBytes: number): PythonHost {
  let memory: WebAssembly.Memory;
  let input = new Uint8Array(0);
  let inputPosition = 0;
  let clock = epochNanoseconds;
  let randomBlock = 0;
  let written: Buffer[][] = [[], [], []];
  let writtenBytes = [0, 0, 0];

  // the buffer of a memory is a new one after it grew: never keep a view
  const view = () => new DataView(memory.buffer);
  const bytes = (address: number, length: number) => new Uint8Array(memory.buffer, address, length);
  const buffers = (list: number, count: number) =>
    Array.from({ length: Math.min(count, 1024) }, (_, i) => {
      const entry = list + 8 * i;
      return bytes(view().getUint32(entry, true), view().getUint32(entry + 4, true));
    });
  // a verdict that explains an error has its room even where little may be printed
  const limits = [Math.max(outputBytes, 4096), outputBytes];
  const encodedArguments = arguments_.map((text) => Buffer.from(`${text}\0`));

  const functions: Record<string, WasiFunction> = {
    args_sizes_get(count: number, size: number) {
      view().setUint32(count, encodedArguments.length, true);
      view().setUint32(size, Buffer.concat(encodedArguments).length, true);
      return 0;
    },
    args_get(pointers: number, text: number) {
      let address = text;
      encodedArguments.forEach((argument, i) => {
        view().setUint32(pointers + 4 * i, address, true);
        bytes(address, argument.length).set(argument);
        address += argument.length;
      });
      return 0;
    },
    environ_sizes_get(count: number, size: number) {
      view().setUint32(count, 0, true);
      view().setUint32(size, 0, true);
      return 0;
    },
    environ_get: () => 0,
    clock_res_get(_id: number, result: number) {
      view().setBigUint64(result, 1000n, true);
      return 0;
    },
    clock_time_get(_id: number, _precision: bigint, result: number) {
      clock += 1000n;
      view().setBigUint64(result, clock, true);
      return 0;
    },
    random_get(address: number, length: number) {
      const target = bytes(address, length);
      for (let i = 0; i < target.length; i += 16) {
        const block = new Uint8Array(Uint32Array.from(philox(0, 0, randomBlock++, 0, 0, 0)).buffer);
        target.set(block.subarray(0, target.length - i), i);
      }
      return 0;
    },
    fd_prestat_get: () => errno.badDescriptor,
    fd_seek: (descriptor: number) => (descriptor <= 2 ? errno.notSeekable : errno.badDescriptor),
    fd_fdstat_get(descriptor: number, result: number) {
      if (descriptor > 2) return errno.badDescriptor;
      bytes(result, 24).fill(0);
      const readAndWrite = 0b1000010n;
      view().setBigUint64(result + 8, readAndWrite, true);
      return 0;
    },
    fd_filestat_get(descriptor: number, result: number) {
      if (descriptor > 2) return errno.badDescriptor;
      bytes(result, 64).fill(0);
      // the driver asks for the size of its output to learn whether anything was printed
      view().setBigUint64(result + 32, BigInt(writtenBytes[descriptor]), true);
      return 0;
    },
    fd_read(descriptor: number, list: number, count: number, result: number) {
      if (descriptor !== 0) return errno.badDescriptor;
      const start = inputPosition;
      for (const target of buffers(list, count)) {
        const chunk = input.subarray(inputPosition, inputPosition + target.length);
        target.set(chunk);
        inputPosition += chunk.length;
      }
      view().setUint32(result, inputPosition - start, true);
      return 0;
    },
    fd_write(descriptor: number, list: number, count: number, result: number) {
      if (descriptor > 2) return errno.badDescriptor;
      let total = 0;
      for (const source of buffers(list, count)) {
        total += source.length;
        if (descriptor === 2 || source.length === 0) continue;
        // one byte more than allowed is kept, so that a cut is known as one
        const room = limits[descriptor] + 1 - writtenBytes[descriptor];
        written[descriptor].push(Buffer.from(source.subarray(0, room)));
        writtenBytes[descriptor] += Math.min(source.length, room);
        if (source.length >= room) throw new PythonStop('output', 0);
      }
      view().setUint32(result, total, true);
      return 0;
    },
    poll_oneoff(subscriptions: number, events: number, count: number, result: number) {
      // time.sleep: the clock jumps; waiting for a descriptor does not exist
      let wake: bigint | undefined;
      for (let i = 0; i < count; i++) {
        const entry = subscriptions + 48 * i;
        if (view().getUint8(entry + 8) !== 0) return errno.notSupported;
        const isAbsolute = (view().getUint16(entry + 40, true) & 1) === 1;
        const time = view().getBigUint64(entry + 24, true) + (isAbsolute ? 0n : clock);
        if (wake === undefined || time < wake) wake = time;
      }
      if (wake === undefined) return errno.notSupported;
      if (wake > clock) clock = BigInt.asUintN(63, wake);
      bytes(events, 32).fill(0);
      bytes(events, 8).set(bytes(subscriptions, 8));
      view().setUint32(result, 1, true);
      return 0;
    },
    sched_yield: () => 0,
    proc_exit(code: number) {
      throw new PythonStop('exit', code);
    },
  };

  const wasi: Record<string, WasiFunction> = {};
  for (const name of names) wasi[name] = functions[name] ?? (() => errno.notImplemented);

  return {
    imports: { wasi_snapshot_preview1: wasi },
    attach(newMemory) {
      memory = newMemory;
    },
    begin(newInput) {
      input = new Uint8Array(newInput);
      inputPosition = 0;
      clock = epochNanoseconds;
      randomBlock = 0;
      written = [[], [], []];
      writtenBytes = [0, 0, 0];
    },
    output: () => Buffer.concat(written[1]),
    verdict: () => Buffer.concat(written[0]),
  };
}
