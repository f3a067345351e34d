/**
 * The store of a data folder: everything that every run did, in one SQLite file. Read this file first; the schema is in
 * migrations/, the encodings are in encoding.ts.
 *
 *   DATA/paretune.db             this store (with -wal and -shm beside it while it is open)
 *   DATA/paretune.db.backup-v1   what it was before an upgrade
 *   DATA/writer.lock, .json      who writes (writer-lock.ts)
 *   DATA/runs/RUN/               the files of a run: checkpoints; not the store's business
 */
import { join } from 'node:path';
import { ParetuneError } from '../contract/errors.ts';
import type { RunEvent } from '../contract/run-events.ts';
import { exactJson } from '../engine/base/exact-json.ts';
import { eventWriter } from './append-event.ts';
import { type Connection, durably, explainFailures, openDatabase } from './database.ts';
import { deleteRun } from './delete-run.ts';
import { migrate, requireCurrentVersion, requireIntact } from './migrate.ts';
import type { Artifact } from './read-rows.ts';
import { findRun } from './read-runs.ts';
import { type Readers, readersOf } from './readers.ts';
import { currentWriter, describeWriter, takeWriterLock, type Writer, type WriterLock } from './writer-lock.ts';

export type Store = Readers & {
  readonly dataFolder: string;
  /** `read` also where `write` was asked for and another process writes */
  readonly mode: 'write' | 'read';
  /** the other process that writes this folder, as of now; null where there is none or it is this store */
  writer(): Writer | null;
  /** Writes one event, a step with all its groups, and returns when it is committed. */
  append(event: RunEvent): void;
  /**
   * Begins the next attempt of a run from a checkpoint: rows of steps above `fromStep` stay, marked as superseded.
   * `runId` is the exact name. Returns the attempt's number, for the event `resumed`, which may be appended as well.
   */
  resumeRun(runId: string, fromStep: number): number;
  /** Writes down what was exported. */
  addArtifact(run: string, artifact: Artifact): void;
  /** Removes all rows of a run; its files (runFolder) are the caller's. */
  deleteRun(run: string): void;
  close(): void;
};

/** The database file of a data folder. */
export function databasePath(dataFolder: string): string {
  return join(dataFolder, 'paretune.db');
}

/** The folder for the files of a run. */
export function runFolder(dataFolder: string, runId: string): string {
  return join(dataFolder, 'runs', runId);
}

/**
 * Opens the store of a folder. `write` makes it where it is missing and brings an old one up to date; where another process
 * writes, the store is read-only instead (`mode`, `writer()`), and every writing call says who does. `read` never changes
 * the file. Errors: `not-found` without a database to read; `store` for one that is newer, damaged, not ours or none;
 * `disk` without space or permission.
 */
export function openStore(dataFolder: string, options: { mode: 'write' | 'read' }): Store {
  const path = databasePath(dataFolder);
  const lock = options.mode === 'write' ? takeWriterLock(dataFolder) : null;
  if (lock === null) return readingStore(dataFolder, path);
  let db: Connection | undefined;
  try {
    db = openDatabase(path, 'write');
    return writingStore(dataFolder, path, db, lock);
  } catch (error) {
    db?.close();
    lock.release();
    throw error;
  }
}

function writingStore(dataFolder: string, path: string, db: Connection, lock: WriterLock): Store {
  explainFailures(path, () => {
    if (lock.afterCrash) requireIntact(db, path, 'quick_check');
    migrate(db, path);
    lock.sign();
    // The lock is ours, so no run is running: those that say so were cut off.
    db.prepare(
      "UPDATE runs SET status = 'stopped', reason = 'interrupted: the process ended before the run did' WHERE status = 'running'",
    ).run();
  });
  const writer = eventWriter(db);
  const guarded = <T>(body: () => T) => explainFailures(path, body);
  return {
    ...readersOf(db, path),
    dataFolder,
    mode: 'write',
    writer: () => null,
    append: (event) => guarded(() => writer.append(event)),
    resumeRun: (runId, fromStep) =>
      guarded(() => {
        const attempt = writer.nextAttempt(runId);
        durably(db, () => writer.append({ kind: 'resumed', runId, fromStep, attempt }));
        return attempt;
      }),
    addArtifact: (run, { step, kind, path: where, bytes, details }) =>
      guarded(() => {
        db.prepare(
          'INSERT INTO artifacts (run_key, step, kind, path, bytes, details, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)',
        ).run(findRun(db, run).key, step, kind, where, bytes, exactJson(details), Date.now());
      }),
    deleteRun: (run) => guarded(() => deleteRun(db, findRun(db, run).key)),
    close() {
      if (!db.open) return;
      try {
        guarded(() => db.close());
      } finally {
        lock.release();
      }
    },
  };
}

function readingStore(dataFolder: string, path: string): Store {
  const db = openDatabase(path, 'read');
  try {
    explainFailures(path, () => requireCurrentVersion(db, path));
  } catch (error) {
    db.close();
    throw error;
  }
  const refuse = (): never => {
    const writer = currentWriter(dataFolder);
    throw new ParetuneError('store', `The data folder ${dataFolder} is open for reading only (${reasonFor(writer)}).`, {
      hint: 'Wait until that run has ended, stop it, or choose another data folder.',
    });
  };
  return {
    ...readersOf(db, path),
    dataFolder,
    mode: 'read',
    writer: () => currentWriter(dataFolder),
    append: refuse,
    resumeRun: refuse,
    addArtifact: refuse,
    deleteRun: refuse,
    close: () => db.close(),
  };
}

function reasonFor(writer: Writer | null): string {
  return writer === null
    ? 'no other process writes it now: open it for writing'
    : `${describeWriter(writer)}, writes it`;
}
