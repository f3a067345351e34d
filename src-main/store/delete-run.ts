/**
 * Removing a run with all its rows, for good: freed pages are overwritten with zeros, the search index is written anew
 * without the deleted entries, and the file gives the space back. Its files are not the store's business.
 */
import Database from 'better-sqlite3';
import type { Connection } from './database.ts';

/** Deletes the run and everything below it in one transaction; the search index has no foreign keys and goes first. */
export function deleteRun(db: Connection, runKey: number): void {
  db.pragma('secure_delete = ON');
  try {
    db.transaction(() => {
      db.prepare(
        'DELETE FROM trajectory_search WHERE rowid IN (SELECT trajectory_key FROM trajectories WHERE run_key = ?)',
      ).run(runKey);
      // deleted entries are only marked until their part of the index is merged with another
      db.prepare("INSERT INTO trajectory_search (trajectory_search) VALUES ('optimize')").run();
      db.prepare('DELETE FROM runs WHERE run_key = ?').run(runKey);
    }).immediate();
    compact(db);
  } finally {
    db.pragma('secure_delete = OFF');
  }
}

/** What was deleted is overwritten already: without the room for a compact copy, only the file stays as large as it was. */
function compact(db: Connection): void {
  try {
    db.exec('VACUUM');
  } catch (error) {
    if (!(error instanceof Database.SqliteError) || !/^SQLITE_(FULL|BUSY|LOCKED)/.test(error.code)) throw error;
  }
  // the log holds pages as they were before
  db.pragma('wal_checkpoint(TRUNCATE)');
}
