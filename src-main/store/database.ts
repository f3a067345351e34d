/**
 * Opening the database file: what kind of file it is, the connection's settings, and SQLite's failures in the user's
 * words. It knows no tables; the schema is migrate.ts.
 */
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { ParetuneError } from '../contract/errors.ts';

export type Connection = Database.Database;

/** "PTUN": marks a SQLite file as ours (PRAGMA application_id). */
export const applicationId = 0x5054554e;

/**
 * Opens the file for writing (created where it is missing) or for reading. Errors: `not-found` without a file to read,
 * `store` for a file that is no database or another program's, `disk` where it cannot be opened.
 */
export function openDatabase(path: string, mode: 'write' | 'read'): Connection {
  if (existsSync(path)) requireSqliteFile(path);
  else if (mode === 'read') {
    throw new ParetuneError('not-found', `There is no database at ${path}.`, {
      hint: 'It is made by the first run: start one with `paretune tune` or `paretune demo`.',
    });
  }
  return explainFailures(path, () => {
    const db = new Database(path, { readonly: mode === 'read', fileMustExist: mode === 'read' });
    try {
      requireOwnFile(db, path);
      db.pragma('foreign_keys = ON');
      db.pragma('trusted_schema = OFF');
      db.pragma('cell_size_check = ON');
      db.pragma('busy_timeout = 2000');
      if (mode === 'write') {
        db.pragma('journal_mode = WAL');
        db.pragma('synchronous = NORMAL');
        // The log is emptied at every checkpoint of the run; before that only where it has grown to 16 MB.
        db.pragma('wal_autocheckpoint = 4000');
      } else {
        db.pragma('query_only = ON');
      }
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/** Runs `body` so that every commit in it is on the disk when it returns, and empties the write-ahead log after it. */
export function durably(db: Connection, body: () => void): void {
  db.pragma('synchronous = FULL');
  try {
    body();
    // A reader in mid-query keeps the log from being emptied; that costs space, not safety, so it is not waited for.
    db.pragma('busy_timeout = 50');
    db.pragma('wal_checkpoint(TRUNCATE)');
  } finally {
    db.pragma('busy_timeout = 2000');
    db.pragma('synchronous = NORMAL');
  }
}

/** Runs `body` and turns what SQLite throws about the file at `path` into an error a user can act on. */
export function explainFailures<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw explained(path, error);
  }
}

function explained(path: string, error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  const say = (code: 'store' | 'disk', what: string, hint: string) =>
    new ParetuneError(code, `${what}: ${path} (${error.message}).`, { hint, cause: error });
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(error.code)) return damaged(path, error.message, error);
  if (/^SQLITE_FULL/.test(error.code))
    return say('disk', 'The disk is full', `Free some space below ${dirname(path)}; nothing committed is lost.`);
  if (/^SQLITE_(IOERR|READONLY|CANTOPEN|PERM|AUTH)/.test(error.code))
    return say(
      'disk',
      'The database cannot be read or written',
      `Check the disk and the permissions of ${dirname(path)}.`,
    );
  if (/^SQLITE_(BUSY|LOCKED)/.test(error.code))
    return say('store', 'The database is in use', 'Close other programs that have it open, then try again.');
  return error;
}

/** The error for a file with broken content, and how to go on. */
export function damaged(path: string, detail: string, cause?: unknown): ParetuneError {
  return new ParetuneError('store', `The database is damaged: ${path} (${detail}).`, {
    cause,
    hint:
      'Copy the data folder before anything else. Runs can still be read as far as they are intact; to go on, move the ' +
      `file away (a new one is made) or put a backup in its place (${path}.backup-*). Checkpoints are files of their own and stay valid.`,
  });
}

/** Every SQLite file of content begins with these 16 bytes; an empty file is a database without content. */
function requireSqliteFile(path: string): void {
  const signature = Buffer.alloc(16);
  let file: number;
  try {
    if (statSync(path).size === 0) return;
    file = openSync(path, 'r');
  } catch (error) {
    throw new ParetuneError('disk', `The database cannot be opened: ${path}.`, {
      cause: error,
      hint: `Check the permissions of ${dirname(path)}.`,
    });
  }
  try {
    readSync(file, signature, 0, 16, 0);
  } finally {
    closeSync(file);
  }
  if (signature.toString('latin1') !== 'SQLite format 3\0') {
    throw new ParetuneError('store', `This file is not a database: ${path}.`, {
      hint: 'Something else lies under that name, or its beginning was overwritten. Move it away, or put a backup in its place.',
    });
  }
}

function requireOwnFile(db: Connection, path: string): void {
  const seen = db.pragma('application_id', { simple: true }) as number;
  const empty = db.prepare<[], { n: number }>('SELECT count(*) AS n FROM sqlite_schema').get()!.n === 0;
  if (seen === applicationId || (seen === 0 && empty)) return;
  throw new ParetuneError('store', `This database belongs to another program: ${path} (application id ${seen}).`, {
    hint: 'Choose another data folder, or move that file away.',
  });
}
