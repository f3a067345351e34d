/**
 * Files that are whole or absent: written under another name, flushed to the disk, renamed. The one file of base/ that
 * uses node: modules, because the store and the checkpoints both stand on it. What Node throws about a disk becomes an
 * error that a user can act on.
 *
 * Source: the order of write, fsync, rename, fsync of the folder is POSIX practice (rename is atomic, its durability
 * needs the folder flushed; Windows cannot flush folders and may refuse a rename while a virus scanner looks on).
 */
import * as fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pid, platform } from 'node:process';
import { ParetuneError } from '../../contract/errors.ts';

/** What is used of node:fs, so that a test can make any single call fail. */
export type FileSystem = Pick<
  typeof fs,
  | 'closeSync'
  | 'existsSync'
  | 'fsyncSync'
  | 'mkdirSync'
  | 'openSync'
  | 'renameSync'
  | 'rmSync'
  | 'statfsSync'
  | 'writeSync'
>;

/** At most this much goes to one write call: larger ones fail on some systems. */
const chunkBytes = 2 ** 28;

/** A file's content whole, or piece by piece, so that what is larger than memory can be written. */
export type FileContent = string | Uint8Array | Iterable<Uint8Array>;

/**
 * Puts `content` at `path`, durably: after a crash the file is the old one or the new one, never a part. Error: `disk`;
 * the old file is then untouched.
 */
export function writeFileAtomic(path: string, content: FileContent, files: FileSystem = fs): void {
  const temporary = join(dirname(path), `.${basename(path)}.part-${pid}`);
  explainDiskFailures(path, () => {
    try {
      files.rmSync(temporary, { force: true });
      writeFileDurable(temporary, content, files);
      renamePatiently(temporary, path, files);
    } catch (error) {
      removeQuietly(temporary, files);
      throw error;
    }
    flushFolder(dirname(path), files);
  });
}

/** A file that is written in pieces, with other work between them. */
export type AtomicFile = {
  append(bytes: Uint8Array): void;
  /** Flushes what was appended and puts it at its path. */
  finish(): void;
  /** Leaves nothing behind; does nothing after `finish`. */
  abandon(): void;
};

/** Begins a file that appears at `path` when it is finished, and then whole. Its methods throw `disk`. */
export function beginAtomicFile(path: string, files: FileSystem = fs): AtomicFile {
  const temporary = join(dirname(path), `.${basename(path)}.part-${pid}`);
  files.rmSync(temporary, { force: true });
  let handle = explainDiskFailures(path, () => files.openSync(temporary, 'wx'));
  const close = () => {
    if (handle >= 0) files.closeSync(handle);
    handle = -1;
  };
  return {
    append(bytes) {
      explainDiskFailures(path, () => {
        for (let done = 0; done < bytes.length; ) {
          done += files.writeSync(handle, bytes, done, Math.min(bytes.length - done, chunkBytes));
        }
      });
    },
    finish() {
      explainDiskFailures(path, () => {
        files.fsyncSync(handle);
        close();
        renamePatiently(temporary, path, files);
        flushFolder(dirname(path), files);
      });
    },
    abandon() {
      close();
      removeQuietly(temporary, files);
    },
  };
}

/** Writes a file that must not exist yet and flushes it. Throws what Node throws. */
export function writeFileDurable(path: string, content: FileContent, files: FileSystem = fs): void {
  const whole = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const file = files.openSync(path, 'wx');
  try {
    for (const bytes of whole instanceof Uint8Array ? [whole] : whole) {
      for (let done = 0; done < bytes.length; ) {
        done += files.writeSync(file, bytes, done, Math.min(bytes.length - done, chunkBytes));
      }
    }
    files.fsyncSync(file);
  } finally {
    files.closeSync(file);
  }
}

/** Flushes the names in a folder, where the system can. */
export function flushFolder(folder: string, files: FileSystem = fs): void {
  try {
    const handle = files.openSync(folder, 'r');
    try {
      files.fsyncSync(handle);
    } finally {
      files.closeSync(handle);
    }
  } catch {
    // Windows and some network drives have no such call; the rename itself has happened.
  }
}

/** Renames, and tries again for a second where Windows says that somebody is looking at the file. */
export function renamePatiently(from: string, to: string, files: FileSystem = fs): void {
  for (let attempt = 0; ; attempt++) {
    try {
      files.renameSync(from, to);
      return;
    } catch (error) {
      const passing = platform === 'win32' && ['EPERM', 'EBUSY', 'EACCES'].includes(codeOf(error));
      if (!passing || attempt === 10) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    }
  }
}

/** Removes a file or a folder with all in it; that it cannot is not worth hiding the error that led here. */
export function removeQuietly(path: string, files: FileSystem = fs): void {
  try {
    files.rmSync(path, { recursive: true, force: true });
  } catch {
    // left behind; nothing reads it
  }
}

/** Bytes that this user may still write on the disk of an existing folder. Error: `disk`. */
export function freeBytes(folder: string, files: Pick<FileSystem, 'statfsSync'> = fs): number {
  return explainDiskFailures(folder, () => {
    const { bavail, bsize } = files.statfsSync(folder);
    return bavail * bsize;
  });
}

/** Refuses to start writing `needed` bytes of `what` where they do not fit. Error: `disk`. */
export function requireFreeBytes(
  folder: string,
  needed: number,
  what: string,
  files: Pick<FileSystem, 'statfsSync'> = fs,
): void {
  const free = freeBytes(folder, files);
  if (free >= needed) return;
  throw new ParetuneError('disk', `${what} needs ${megabytes(needed)}, ${megabytes(free)} are free at ${folder}.`, {
    hint: 'Free some space on that disk, then try again. What was there before is untouched.',
  });
}

/** Runs `body`; a failure of the disk or of permissions becomes a `disk` error that names `path`. Others pass unchanged. */
export function explainDiskFailures<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const hint = hints[codeOf(error)];
    if (hint === undefined) throw error;
    throw new ParetuneError('disk', `${path} could not be written: ${(error as Error).message}.`, {
      hint,
      cause: error,
    });
  }
}

const full = 'The disk is full: free some space on it, then try again.';
const forbidden = 'You may not write there: change the permissions of the folder, or choose another one.';
const broken = 'The disk does not answer as it should: check that it is connected and healthy.';
const hints: Record<string, string> = {
  ENOSPC: full,
  EDQUOT: full,
  EFBIG: full,
  EACCES: forbidden,
  EPERM: forbidden,
  EROFS: forbidden,
  EBUSY: 'Another program holds it: close that program, then try again.',
  EMFILE: 'Too many files are open: close other programs, then try again.',
  EIO: broken,
  ENODEV: broken,
  ENOENT: 'The folder is gone: was it moved or deleted?',
  EISDIR: 'A folder of that name stands there: choose another name.',
  ENOTDIR: 'A part of that path is a file, not a folder: choose another folder.',
};

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MB`;
}
