/** Moving the data folder: copied, compared file by file, then used. Where it lies by itself is cli/environment.ts. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { cp, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ParetuneError } from '../contract/errors.ts';
import type { CallProgress } from '../contract/window-api.ts';

/**
 * Copies all data into a new folder `paretune` below `to` and returns it. The old folder stays, for the user to delete.
 * Errors: `usage` where the folder is there already or lies within the old one, `disk` where the copy differs.
 */
export async function copyData(from: string, to: string, progress: (progress: CallProgress) => void): Promise<string> {
  const target = join(to, basename(from));
  if (existsSync(target) || !relative(from, target).startsWith('..')) {
    throw new ParetuneError('usage', `The folder ${target} cannot be used: it exists, or lies within the old one.`, {
      hint: 'Choose an empty folder elsewhere.',
    });
  }
  try {
    await mkdir(to, { recursive: true });
    if (!existsSync(from)) {
      await mkdir(target);
      return target;
    }
    progress({ label: 'copying', done: 0, total: 0 });
    await cp(from, target, { recursive: true, errorOnExist: true, force: false });
    const files = await filesBelow(from);
    for (const [i, file] of files.entries()) {
      progress({ label: 'comparing', done: i, total: files.length, note: file });
      if ((await hashOf(join(from, file))) !== (await hashOf(join(target, file)))) {
        throw new ParetuneError('disk', `The copy of ${file} differs from the original.`, { hint: 'Check the disk.' });
      }
    }
    return target;
  } catch (error) {
    await rm(target, { recursive: true, force: true });
    throw error;
  }
}

async function filesBelow(folder: string, under = ''): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir(join(folder, under))) {
    const path = join(under, name);
    if ((await stat(join(folder, path))).isDirectory()) found.push(...(await filesBelow(folder, path)));
    else found.push(path);
  }
  return found;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
