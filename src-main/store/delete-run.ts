/** Removing a run with all its rows. Its files are not the store's business. */
import type { Connection } from './database.ts';

/** Deletes the run and everything below it in one transaction; the search index has no foreign keys and goes first. */
export function deleteRun(db: Connection, runKey: number): void {
  db.transaction(() => {
    db.prepare(
      'DELETE FROM trajectory_search WHERE rowid IN (SELECT trajectory_key FROM trajectories WHERE run_key = ?)',
    ).run(runKey);
    db.prepare('DELETE FROM runs WHERE run_key = ?').run(runKey);
  }).immediate();
}
