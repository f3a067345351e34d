/**
 * The index of a task's corpus, built once: documents of built-in tasks and corpus files each get an SQLite file named by
 * what is in them, in a cache folder, opened read-only.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { buildCorpusIndex, type OpenCorpusIndex, openCorpusIndex } from './corpus-index.ts';

type Passage = { title: string; text: string };

/**
 * Opens the index of documents or of a corpus file, building it first where it is new. `read` gives a file's passages
 * (tools/corpus-file.ts); `folder` keeps the indexes.
 */
export async function openCorpus(
  corpus: readonly Passage[] | { path: string },
  read?: (path: string) => AsyncIterable<Passage>,
  folder = join(tmpdir(), 'paretune-corpus'),
): Promise<OpenCorpusIndex> {
  const path = join(folder, `${corpusHash(corpus)}.sqlite`);
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    const passages = 'path' in corpus ? read!(corpus.path) : corpus;
    await buildCorpusIndex(path, passages);
  }
  return openCorpusIndex(path);
}

function corpusHash(corpus: readonly Passage[] | { path: string }): string {
  const hash = createHash('sha256');
  if ('path' in corpus) {
    const { size } = statSync(corpus.path);
    hash.update(`${resolve(corpus.path)}\0${size}\0`).update(readFileSync(corpus.path));
  } else {
    hash.update(JSON.stringify(corpus));
  }
  return hash.digest('hex').slice(0, 24);
}
