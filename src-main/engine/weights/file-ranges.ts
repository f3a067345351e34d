/**
 * Reading weight files of strangers by byte ranges: nothing is read past a range or the end of the file, and what cannot
 * be opened, read or held in memory ends in an error that names the file. What the bytes mean is for the formats.
 */
import { openSync, readSync } from 'node:fs';
import { ParetuneError } from '../../contract/errors.ts';

/** A handle to read from. Throws `not-found`. */
export function openForReading(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw new ParetuneError('not-found', `${path} cannot be opened: ${(error as Error).message}.`, { cause: error });
  }
}

/** The bytes [begin, end) in a buffer of their own that starts at offset 0. Throws `memory`, `bad-file` where the file ends before. */
export function readRange(handle: number, path: string, begin: number, end: number): Buffer {
  const bytes = allocate(path, end - begin);
  for (let done = 0; done < bytes.length; ) {
    // At most 1 GB a call: larger reads fail on some systems.
    const read = readSync(handle, bytes, done, Math.min(bytes.length - done, 2 ** 30), begin + done);
    if (read === 0) throw damagedFile(path, 'weight', `it ends at byte ${begin + done}, while it is being read`);
    done += read;
  }
  return bytes;
}

function allocate(path: string, bytes: number): Buffer {
  try {
    return Buffer.from(new ArrayBuffer(bytes));
  } catch (cause) {
    throw new ParetuneError('memory', `${path}: there is no room in memory for ${bytes} bytes.`, {
      hint: 'Close other programs or choose a smaller model.',
      cause,
    });
  }
}

/** `bad-file`: the file is not what its format says, for this reason. */
export function damagedFile(path: string, format: string, what: string): ParetuneError {
  return new ParetuneError('bad-file', `${path} is not a valid ${format} file: ${what}.`, {
    hint: 'The file is damaged or incomplete: download or save it again.',
  });
}
