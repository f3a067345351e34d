/**
 * The searchable index of a corpus, built once below the data folder and found again by what the corpus holds. Building
 * and opening are the store's; reading corpus files is the search tool's.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ParetuneError } from '../contract/errors.ts';
import { readCorpusFile } from '../engine/tools/corpus-file.ts';
import type { Passage } from '../engine/tools/search.ts';
import { buildCorpusIndex, type OpenCorpusIndex, openCorpusIndex } from '../store/corpus-index.ts';
import type { CommandContext } from './command.ts';

/** Passages in memory, or the path of a corpus file. */
export type CorpusSource = readonly Passage[] | { path: string };

/** Opens the index of a corpus; builds it first where this data folder has none yet. The caller closes it. */
export async function openCorpus(
  source: CorpusSource,
  context: Pick<CommandContext, 'dataFolder' | 'progress'>,
): Promise<OpenCorpusIndex> {
  const folder = join(context.dataFolder, 'corpora');
  const path = join(folder, `${await identity(source)}.sqlite`);
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    await buildCorpusIndex(path, counted('path' in source ? readCorpusFile(source.path) : source, context));
  }
  return openCorpusIndex(path);
}

/** The first half of the sha256 of its content: two files with the same content share an index. */
async function identity(source: CorpusSource): Promise<string> {
  const hash = createHash('sha256');
  if ('path' in source) {
    if (!existsSync(source.path) || !statSync(source.path).isFile()) {
      throw new ParetuneError('not-found', `There is no corpus file ${source.path}.`);
    }
    await pipeline(createReadStream(source.path), hash);
  } else for (const passage of source) hash.update(JSON.stringify([passage.title, passage.text]));
  return hash.digest('hex').slice(0, 32);
}

async function* counted(
  passages: Iterable<Passage> | AsyncIterable<Passage>,
  { progress }: Pick<CommandContext, 'progress'>,
): AsyncGenerator<Passage> {
  let done = 0;
  for await (const passage of passages) {
    yield passage;
    done++;
    if (done % 500 === 0) progress({ label: 'indexing the corpus', done, total: 0, note: 'passages' });
  }
}

/** How an environment opens the corpora of its tasks within one command. */
export function corpusOpener(context: Pick<CommandContext, 'dataFolder' | 'progress'>) {
  return (source: CorpusSource): Promise<OpenCorpusIndex> => openCorpus(source, context);
}
