/**
 * What imports left behind that did not come to their end: listed, so that nobody wonders where the space went, and removed
 * on request. The same import goes on from them by itself.
 */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import { explainDiskFailures } from '../engine/base/atomic-file.ts';
import { readJson } from '../engine/weights/folder-files.ts';
import { downloadNoteName, partialNameOf, readJournal } from './model-copy.ts';

export type UnfinishedImport = {
  /** the name that the model would have had */
  name: string;
  bytes: number;
  /** what it was made from, empty where that is not known */
  from: string;
};

/** One a name, though a download and its copy may both be there; a file that they share counts once. */
export function unfinishedImports(dataFolder: string): UnfinishedImport[] {
  const found = Map.groupBy(foldersOf(dataFolder), ({ name }) => name);
  return [...found].map(([name, places]) => {
    const files = places.flatMap(({ folder }) => readdirSync(folder).map((file) => statSync(join(folder, file))));
    const sizes = new Map(files.map(({ ino, size }) => [ino, size]));
    const origins = places.map(({ folder }) => repoOf(folder) || readJournal(folder)?.source[0]?.name || '');
    return {
      name,
      bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0),
      from: origins.find((origin) => origin !== '') ?? '',
    };
  });
}

const noteSchema = z.looseObject({ repo: z.string(), commit: z.string() });

/** What a download says that it is of. */
function repoOf(folder: string): string {
  try {
    const { repo, commit } = noteSchema.parse(readJson(folder, downloadNoteName));
    return `${repo}@${commit}`;
  } catch {
    return ''; // not written by us, or half
  }
}

/** Throws `not-found`. */
export function removeUnfinished(dataFolder: string, wanted: string): void {
  const found = foldersOf(dataFolder).filter(({ name }) => name === wanted);
  if (found.length === 0) {
    throw new ParetuneError('not-found', `There is no unfinished import named ${wanted}.`, {
      hint: 'paretune models lists them.',
    });
  }
  for (const { folder } of found) explainDiskFailures(folder, () => rmSync(folder, { recursive: true, force: true }));
}

function foldersOf(dataFolder: string): { folder: string; name: string }[] {
  const models = join(dataFolder, 'models');
  if (!existsSync(models)) return [];
  return readdirSync(models, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => ({ folder: join(models, entry.name), name: partialNameOf(entry.name) }))
    .filter((entry): entry is { folder: string; name: string } => entry.name !== null)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
