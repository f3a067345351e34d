/**
 * A corpus as a searchable file of its own: SQLite FTS5, ranked by bm25. Built once, then opened read-only, so that it can
 * be shared by runs and processes. Not the run database. The same file and query give the same passages in the same
 * order: ties go to the passage that was added first.
 *
 * Source: sqlite.org/fts5.html (bm25, unicode61, porter).
 */
import { existsSync, renameSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { ParetuneError } from '../contract/errors.ts';

/** "PTci": tells our index from any other SQLite file. */
const applicationId = 0x50546369;
const formatVersion = 1;

/** A word in the title counts as much as this many in the text. */
const titleWeight = 4;
const maxTerms = 64;

type Passage = { title: string; text: string };

export type OpenCorpusIndex = {
  readonly documents: number;
  search(query: string, k: number): Passage[];
  close(): void;
};

/**
 * Writes the index of all passages to `path`, replacing what was there once it is complete; returns how many there are.
 * Passages without any text are left out.
 */
export async function buildCorpusIndex(
  path: string,
  passages: Iterable<Passage> | AsyncIterable<Passage>,
): Promise<number> {
  const partial = `${path}.partial`;
  rmSync(partial, { force: true });
  const database = new Database(partial);
  try {
    // nobody reads the file before it is renamed, so it needs neither a journal nor syncs in between
    database.pragma('journal_mode = OFF');
    database.pragma('synchronous = OFF');
    database.pragma(`application_id = ${applicationId}`);
    database.pragma(`user_version = ${formatVersion}`);
    database.exec(
      "CREATE VIRTUAL TABLE passages USING fts5(title, text, tokenize = 'porter unicode61 remove_diacritics 2')",
    );
    const insert = database.prepare('INSERT INTO passages (title, text) VALUES (?, ?)');
    let count = 0;
    database.exec('BEGIN');
    for await (const { title, text } of passages) {
      if (title.trim() === '' && text.trim() === '') continue;
      insert.run(title, text);
      count++;
    }
    database.exec("INSERT INTO passages (passages) VALUES ('optimize')");
    database.exec('COMMIT');
    database.close();
    renameSync(partial, path);
    return count;
  } catch (error) {
    database.close();
    rmSync(partial, { force: true });
    throw error;
  }
}

/** The different words of a text as FTS5 strings. Only letters, marks and digits get in, so nothing can be read as syntax. */
function termsOf(query: string): string[] {
  const words = query.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  return [...new Set(words)].slice(0, maxTerms).map((word) => `"${word}"`);
}

/** Opens an index read-only. Throws a ParetuneError when it is missing, another file, or of another version. */
export function openCorpusIndex(path: string): OpenCorpusIndex {
  if (!existsSync(path)) throw new ParetuneError('not-found', `There is no corpus index ${path}.`);
  const wrong = (problem: string, cause?: unknown) =>
    new ParetuneError('bad-file', `${path} ${problem}.`, { cause, hint: 'Import the corpus again.' });
  let database: Database.Database | undefined;
  try {
    database = new Database(path, { readonly: true, fileMustExist: true });
    if (database.pragma('application_id', { simple: true }) !== applicationId) throw wrong('is not a corpus index');
    const version = database.pragma('user_version', { simple: true });
    if (version !== formatVersion) throw wrong(`is a corpus index of version ${version}, not ${formatVersion}`);
    return searcher(database);
  } catch (error) {
    database?.close();
    throw error instanceof ParetuneError ? error : wrong('cannot be read as a corpus index', error);
  }
}

function searcher(database: Database.Database): OpenCorpusIndex {
  const count = database.prepare<[], { n: number }>('SELECT count(*) AS n FROM passages').get();
  const matching = database.prepare<[string, number], Passage>(
    `SELECT title, text FROM passages WHERE passages MATCH ? ORDER BY bm25(passages, ${titleWeight}, 1), rowid LIMIT ?`,
  );
  return {
    documents: count?.n ?? 0,
    search(query, k) {
      const terms = termsOf(query);
      if (terms.length === 0) return [];
      const all = matching.all(terms.join(' AND '), k);
      return all.length > 0 || terms.length === 1 ? all : matching.all(terms.join(' OR '), k);
    },
    close: () => void database.close(),
  };
}
