/**
 * One writer for each data folder. The lock itself is held by the operating system (a SQLite lock on an empty file), so it
 * ends with the process that holds it, however that ends, and two processes can never both take over. `writer.json`
 * beside it only says who writes, for people; finding it there while the lock is free means that the last writer did not
 * close in order. Not for network drives, where locks of this kind cannot be trusted.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import Database from 'better-sqlite3';
import { z } from 'zod';
import { explainDiskFailures } from '../engine/base/atomic-file.ts';
import { type Connection, explainFailures } from './database.ts';

const writerSchema = z.object({ pid: z.int().min(1), host: z.string(), startedAtMs: z.number() });

/** The process that writes: its id, its machine and when it began to. */
export type Writer = z.output<typeof writerSchema>;

export type WriterLock = {
  /** the last writer ended without closing: a crash, a kill or a power cut */
  afterCrash: boolean;
  /** Says that this process writes. Until then the signature of a crashed writer stays, and with it `afterCrash`. */
  sign(): void;
  /** Lets go, in order: the signature goes too. */
  release(): void;
};

/** Takes the lock of a folder (made where it is missing), or returns null where another process or thread holds it. */
export function takeWriterLock(dataFolder: string): WriterLock | null {
  explainDiskFailures(dataFolder, () => mkdirSync(dataFolder, { recursive: true }));
  const path = join(dataFolder, 'writer.lock');
  const file = explainFailures(path, () => new Database(path, { timeout: 0 }));
  if (!tryLock(file, path)) return null;
  let signed = false;
  return {
    afterCrash: existsSync(infoPath(dataFolder)),
    sign() {
      sign(dataFolder);
      signed = true;
    },
    release() {
      if (!file.open) return;
      if (signed) rmSync(infoPath(dataFolder), { force: true });
      file.close();
    },
  };
}

/** Who writes, as far as the folder tells; null where nobody does (a dead process of this machine counts as nobody). */
export function currentWriter(dataFolder: string): Writer | null {
  let writer: Writer;
  try {
    writer = writerSchema.parse(JSON.parse(readFileSync(infoPath(dataFolder), 'utf8')));
  } catch {
    return null;
  }
  return writer.host === hostname() && !isAlive(writer.pid) ? null : writer;
}

/** "process 4711 on HOST, since 2026-08-24 10:00": for messages. */
export function describeWriter(writer: Writer | null): string {
  if (writer === null) return 'another process';
  const since = new Date(writer.startedAtMs).toISOString().slice(0, 16).replace('T', ' ');
  return `process ${writer.pid} on ${writer.host}, since ${since} UTC`;
}

function infoPath(dataFolder: string): string {
  return join(dataFolder, 'writer.json');
}

/** BEGIN EXCLUSIVE on the empty file is the lock; closing it, or dying, lets go. */
function tryLock(file: Connection, path: string): boolean {
  try {
    file.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    file.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) return false;
    return explainFailures(path, () => {
      throw error;
    });
  }
}

function sign(dataFolder: string): void {
  const writer: Writer = { pid: process.pid, host: hostname(), startedAtMs: Date.now() };
  const temporary = `${infoPath(dataFolder)}.part`;
  explainDiskFailures(infoPath(dataFolder), () => {
    writeFileSync(temporary, JSON.stringify(writer));
    renameSync(temporary, infoPath(dataFolder));
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
