/**
 * The schema's history: numbered migrations, the version a file has (PRAGMA user_version), and how an old file becomes a
 * new one. A migration is never edited after a release; the next change is the next number.
 */
import { closeSync, fsyncSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { ParetuneError } from '../contract/errors.ts';
import { flushFolder, renamePatiently, requireFreeBytes } from '../engine/base/atomic-file.ts';
import { applicationId, type Connection, damaged } from './database.ts';
import { runsMigration } from './migrations/0001-runs.ts';
import { searchMigration } from './migrations/0002-search.ts';

export type Migration = { version: number; name: string; up(db: Connection): void };

/** All migrations, version 1 first, without gaps. */
export const migrations: readonly Migration[] = [runsMigration, searchMigration];

/** The schema version this program writes. */
export const schemaVersion = migrations.length;

/**
 * Brings an open file to this program's schema. An older file is first copied to `PATH.backup-vN`; all steps are one
 * transaction, checked before it commits. Errors: `store` for a newer or damaged file, `disk` without room for the copy.
 */
export function migrate(db: Connection, path: string): void {
  const found = requireKnownVersion(db, path);
  if (found === schemaVersion) return;
  if (found > 0) backUp(db, path, found);
  db.transaction(() => {
    for (const migration of migrations.slice(found)) migration.up(db);
    if ((db.pragma('foreign_key_check') as unknown[]).length > 0) throw damaged(path, 'rows point to missing rows');
    requireIntact(db, path, 'integrity_check');
    db.pragma(`application_id = ${applicationId}`);
    db.pragma(`user_version = ${schemaVersion}`);
  }).immediate();
}

/** For a reader: the file must have exactly this program's schema. Errors: `store` for an older or newer one. */
export function requireCurrentVersion(db: Connection, path: string): void {
  const found = requireKnownVersion(db, path);
  if (found === schemaVersion) return;
  throw new ParetuneError(
    'store',
    `The database has the old schema ${found}; this version reads ${schemaVersion}: ${path}.`,
    {
      hint: 'It is brought up to date (after a backup) when it is next opened for writing, for example by `paretune tune` or `paretune resume`.',
    },
  );
}

/** SQLite's own check of the whole file: `quick_check` leaves out what indexes hold. Error: `store` where it finds damage. */
export function requireIntact(db: Connection, path: string, check: 'quick_check' | 'integrity_check'): void {
  const found = (db.pragma(`${check}(3)`) as Record<string, string>[]).map((row) => Object.values(row)[0]);
  if (found.join() !== 'ok') throw damaged(path, found.join('; '));
}

function requireKnownVersion(db: Connection, path: string): number {
  const found = db.pragma('user_version', { simple: true }) as number;
  if (found >= 0 && found <= schemaVersion) return found;
  throw new ParetuneError(
    'store',
    `The database has schema ${found}; this version knows 1 to ${schemaVersion}: ${path}.`,
    {
      hint: 'It was written by a newer Paretune. Update Paretune, or use another data folder.',
    },
  );
}

/** A copy that is complete or absent: written under another name, then renamed. A copy of an earlier upgrade gives way. */
function backUp(db: Connection, path: string, version: number): void {
  const backup = `${path}.backup-v${version}`;
  const unfinished = `${backup}.part`;
  requireFreeBytes(dirname(path), statSync(path).size * 1.1 + 2 ** 20, 'The copy that is made before an upgrade');
  rmSync(unfinished, { force: true });
  db.prepare('VACUUM INTO ?').run(unfinished);
  const file = openSync(unfinished, 'r+');
  fsyncSync(file);
  closeSync(file);
  renamePatiently(unfinished, backup);
  flushFolder(dirname(path));
}
