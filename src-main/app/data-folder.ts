/**
 * Moving the data folder: copied under another name, compared, renamed, then used. A copy that is stopped or killed half
 * way is removed, by itself or at the next start; the old folder is only ever read. Where it lies by itself is
 * cli/environment.ts.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, statfsSync } from 'node:fs';
import { lstat, mkdir, open, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, isAbsolute, join, relative } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ParetuneError } from '../contract/errors.ts';
import type { CallProgress } from '../contract/window-api.ts';
import { explainDiskFailures, flushFolder, renamePatiently, requireFreeBytes } from '../engine/base/atomic-file.ts';

const unfinished = '.moving';
/** Lies in a copy that is not done, so that nothing of the user's is ever taken for one. */
const marker = '.paretune-move';

export type CopyOptions = {
  /** bytes of the whole; the comparison counts them a second time */
  progress(progress: CallProgress): void;
  signal?: AbortSignal;
  /** told before anything is written: what to remove should the app be killed (`removeUnfinished`) */
  willWrite?(folder: string): void;
};

/**
 * Copies all data into a new folder below `to`, of the same name, and returns it. The old folder stays, for the user to
 * delete. Errors: `usage` where the folder is there already or lies within the old one, `disk` where it does not fit or the
 * copy differs, `interrupted` where it was stopped.
 */
export async function copyData(from: string, to: string, options: CopyOptions): Promise<string> {
  const { progress, signal, willWrite } = options;
  const target = join(to, basename(from));
  const part = target + unfinished;
  // on another drive of Windows the way is a path from the root
  const way = relative(from, target);
  if (existsSync(target) || !(way.startsWith('..') || isAbsolute(way))) {
    throw new ParetuneError('usage', `The folder ${target} cannot be used: it exists, or lies within the old one.`, {
      hint: 'Choose an empty folder elsewhere.',
    });
  }
  await removeUnfinished(part);
  if (existsSync(part)) {
    throw new ParetuneError('usage', `The folder ${part} is in the way.`, { hint: 'Remove it, or choose another.' });
  }
  const entries = existsSync(from) ? await entriesBelow(from) : [];
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  willWrite?.(part);
  try {
    await mkdir(part, { recursive: true });
    await writeFile(join(part, marker), '');
    // Node 16, in the Electron of tests on machines that cannot download another, cannot tell
    if (typeof statfsSync === 'function') requireFreeBytes(part, bytes, 'The data folder');
    const hashes = new Map<string, string>();
    let done = 0;
    const advance = (label: string, note: string) => (count: number) => {
      done += count;
      progress({ label, done, total: 2 * bytes, note });
    };
    for (const { path, kind } of entries) {
      signal?.throwIfAborted();
      const [source, copy] = [join(from, path), join(part, path)];
      if (kind === 'folder') await mkdir(copy);
      else if (kind === 'link') await symlink(await readlink(source), copy);
      else hashes.set(path, await copyFile(source, copy, advance('copying', path), signal));
    }
    for (const [path, hash] of hashes) {
      if ((await hashOf(join(part, path), advance('comparing', path), signal)) !== hash) {
        throw new ParetuneError('disk', `The copy of ${path} differs from the original.`, { hint: 'Check the disk.' });
      }
    }
    signal?.throwIfAborted();
    // another program (the command line) does not know of the move: what it wrote meanwhile would be missing
    if (existsSync(from) && JSON.stringify(await entriesBelow(from)) !== JSON.stringify(entries)) {
      throw new ParetuneError('usage', 'The data changed while they were copied; they stay where they were.', {
        hint: 'Wait until no other Paretune writes there, and move them again.',
      });
    }
    renamePatiently(part, target);
    await rm(join(target, marker));
    flushFolder(to);
    return target;
  } catch (error) {
    await removeUnfinished(part);
    if (!signal?.aborted) {
      return explainDiskFailures(target, () => {
        throw error;
      });
    }
    throw new ParetuneError('interrupted', 'The data stay where they were.', { cause: error });
  }
}

/** Removes a copy that was not finished; anything else stays. */
export async function removeUnfinished(part: string): Promise<void> {
  if (part.endsWith(unfinished) && existsSync(join(part, marker))) await rm(part, { recursive: true, force: true });
}

type Entry = { path: string; kind: 'folder' | 'file' | 'link'; bytes: number; changedMs?: number };

/** Folders before what lies in them. Sockets and pipes hold no data and are left. */
async function entriesBelow(folder: string, under = ''): Promise<Entry[]> {
  const found: Entry[] = [];
  for (const name of await readdir(join(folder, under))) {
    const path = join(under, name);
    const stats = await lstat(join(folder, path));
    if (stats.isDirectory()) found.push({ path, kind: 'folder', bytes: 0 }, ...(await entriesBelow(folder, path)));
    else if (stats.isSymbolicLink()) found.push({ path, kind: 'link', bytes: 0 });
    else if (stats.isFile()) found.push({ path, kind: 'file', bytes: stats.size, changedMs: stats.mtimeMs });
  }
  return found;
}

/** Copies and flushes one file; the hash is of what was read. */
async function copyFile(source: string, copy: string, count: (bytes: number) => void, signal?: AbortSignal) {
  const hash = createHash('sha256');
  const through = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      count(chunk.length);
      done(null, chunk);
    },
  });
  await pipeline(createReadStream(source), through, createWriteStream(copy, { flags: 'wx' }), { signal });
  const file = await open(copy, 'r+');
  await file.sync().finally(() => file.close());
  return hash.digest('hex');
}

async function hashOf(path: string, count: (bytes: number) => void, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const sink = async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      hash.update(chunk);
      count(chunk.length);
    }
  };
  await pipeline(createReadStream(path), sink, { signal });
  return hash.digest('hex');
}
