/**
 * The copy of a model into the library, file by file: each file is whole or absent, a journal beside them says which are
 * done and what they were made from, and the folder gets its name last. So a copy that was killed goes on where it was, or
 * from the start where its source has changed. What the files hold is for the caller.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import {
  beginAtomicFile,
  explainDiskFailures,
  flushFolder,
  removeQuietly,
  requireFreeBytes,
  writeFileAtomic,
} from '../engine/base/atomic-file.ts';
import { openForReading, readRange } from '../engine/weights/file-ranges.ts';
import type { CommandContext } from './command.ts';

/**
 * A file of the copy: its bytes in pieces, and about how many. `mayLink` names a file of ours with these bytes that nobody
 * changes: where the file system can, it becomes the copy's without taking space twice.
 */
export type FileToCopy = { name: string; bytes: number; mayLink?: string; parts(): Iterable<Uint8Array> };

const fileSchema = z.strictObject({
  name: z.string(),
  bytes: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
/** Which commit of which repository, and the licence that its card names. */
export const hubOriginSchema = z.strictObject({
  host: z.string(),
  repo: z.string(),
  commit: z.string(),
  licence: z.string().nullable(),
});
export type HubOrigin = z.infer<typeof hubOriginSchema>;
const recordSchema = z.strictObject({
  version: z.literal(1),
  /** what it was made from, with the time of change that tells whether it is still the same */
  source: z.array(z.strictObject({ name: z.string(), bytes: z.int().min(0), changedMs: z.number() })),
  /** of a source that was converted and not copied, null for one that was */
  sourceSha256: z.string().nullable(),
  files: z.array(fileSchema),
  /** the hub that it was fetched from, absent for a model that was on this machine */
  hub: hubOriginSchema.optional(),
});
/** What is kept beside a model in the library: where it came from, and the SHA-256 of every file. */
export type ImportRecord = z.infer<typeof recordSchema>;

export const importRecordName = 'paretune-import.json';
/** What a download of a hub says of itself while it waits: its repository and commit. */
export const downloadNoteName = 'paretune-download.json';

const PIECE = 4 * 2 ** 20;

/** A file as it is, piece by piece. */
export function copyOf(path: string): FileToCopy {
  return { name: basename(path), bytes: statSync(path).size, parts: () => piecesOf(path) };
}

function* piecesOf(path: string): Generator<Uint8Array> {
  const handle = openForReading(path);
  try {
    const { size } = fstatSync(handle);
    for (let at = 0; at < size; at += PIECE) yield readRange(handle, path, at, Math.min(size, at + PIECE));
  } finally {
    closeSync(handle);
  }
}

export type ModelCopy = {
  /** the folder to make */
  target: string;
  /** what it is made from: files that are copied, or one that is converted */
  sources: readonly string[];
  files: readonly FileToCopy[];
  hub?: HubOrigin;
  /** called with the finished copy before it gets its name */
  check(folder: string): void;
};

/**
 * Makes the folder. Errors: `disk`, `interrupted`, `usage` where the folder exists, and what `check` throws. What was copied
 * stays where the same import could go on from it (the disk failed, the process died), and goes where it could not.
 */
export async function copyModel(
  copy: ModelCopy,
  context: Pick<CommandContext, 'progress' | 'signal'>,
): Promise<ImportRecord> {
  const partial = partialOf(copy.target);
  try {
    return await copyInto(partial, copy, context);
  } catch (error) {
    if (!(error instanceof ParetuneError)) throw error;
    if (error.code !== 'disk' || readJournal(partial) === null) {
      removeQuietly(partial);
      throw error;
    }
    throw new ParetuneError('disk', error.message, {
      hint: `${error.hint} What was copied is kept, and the same import goes on from there. To give the space back: paretune models --remove-unfinished ${basename(copy.target)}`,
      cause: error,
    });
  }
}

/** Where a copy stands until it is whole, and where a hub's files wait until they are all there. */
export const partialOf = (target: string) => `${target}.partial`;
export const downloadOf = (target: string) => `${target}.download`;
/** The name of the model that such a folder was to become, null for any other name: no model has such a name. */
export const partialNameOf = (name: string) => /^(.*)\.(?:partial|download)$/i.exec(name)?.[1] ?? null;

async function copyInto(
  partial: string,
  { target, sources, files, hub, check }: ModelCopy,
  context: Pick<CommandContext, 'progress' | 'signal'>,
): Promise<ImportRecord> {
  const source = sources.map((path) => {
    const { size, mtimeMs } = statSync(path);
    return { name: basename(path), bytes: size, changedMs: mtimeMs };
  });
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  /** Counts what was read or written, and lets a wish to stop through. */
  const advance = async (label: string, bytes: number, note: string) => {
    done += bytes;
    context.progress({ label, done: megabytes(done), total: megabytes(total), note: `MB, ${note}` });
    await setImmediate();
    if (!context.signal.aborted) return;
    throw new ParetuneError('interrupted', 'Stopped before all files were copied; nothing was imported.');
  };

  mkdirSync(dirname(target), { recursive: true });
  const journal = readJournal(partial);
  const goesOn = journal !== null && JSON.stringify(journal.source) === JSON.stringify(source);
  if (!goesOn) rmSync(partial, { recursive: true, force: true });
  explainDiskFailures(partial, () => mkdirSync(partial, { recursive: true }));
  removeStrays(partial, files);
  const finished = new Map((goesOn ? journal.files : []).map((file) => [file.name, file]));
  const missing = files
    .filter(({ name }) => !finished.has(name) || !existsSync(join(partial, name)))
    .filter(({ mayLink }) => mayLink === undefined || !canLink(mayLink, partial));
  requireFreeBytes(
    partial,
    missing.reduce((sum, { bytes }) => sum + bytes, 0),
    `The model ${basename(target)}`,
  );

  const [converted] = sources.filter((path) => !files.some(({ name }) => name === basename(path)));
  const sourceSha256 = converted === undefined ? null : await hashOf(converted, advance, 'reading');
  done = 0;
  /** with what an earlier copy finished and this one has not come to yet: it may be killed as well */
  const recordNow = (): ImportRecord => {
    const made = files.map(({ name }) => finished.get(name)).filter((file) => file !== undefined);
    return { version: 1, source, sourceSha256, files: made, ...(hub && { hub }) };
  };
  for (const file of files) {
    const path = join(partial, file.name);
    const known = finished.get(file.name);
    const same = known !== undefined && existsSync(path) && (await hashOf(path, advance, 'checking')) === known.sha256;
    if (same) continue;
    finished.set(file.name, (await link(path, file, advance)) ?? (await write(path, file, advance)));
    writeFileAtomic(join(partial, importRecordName), `${JSON.stringify(recordNow(), null, 2)}\n`);
  }
  const record = recordNow();
  done = 0;
  for (const { name, sha256 } of record.files) {
    if ((await hashOf(join(partial, name), advance, 'checking the copy')) === sha256) continue;
    rmSync(join(partial, name), { force: true });
    throw new ParetuneError('disk', `${join(partial, name)} cannot be read back as it was written.`, {
      hint: 'Check the disk, then try again.',
    });
  }
  check(partial);
  flushFolder(partial);
  if (existsSync(target)) throw new ParetuneError('usage', `${target} was made by another import meanwhile.`);
  explainDiskFailures(target, () => renameSync(partial, target));
  flushFolder(dirname(target));
  return record;
}

type Advance = (label: string, bytes: number, note: string) => Promise<void>;

/** Whether a file can be had in the folder by a second name: not everywhere, and not across disks. */
function canLink(file: string, folder: string): boolean {
  const trial = join(folder, `.link-${process.pid}`);
  try {
    linkSync(file, trial);
    rmSync(trial);
    return true;
  } catch {
    return false;
  }
}

/** The file by a second name, null where that cannot be. */
async function link(
  path: string,
  { name, mayLink }: FileToCopy,
  advance: Advance,
): Promise<ImportRecord['files'][number] | null> {
  if (mayLink === undefined || !canLink(mayLink, dirname(path))) return null;
  rmSync(path, { force: true });
  explainDiskFailures(path, () => linkSync(mayLink, path));
  return { name, bytes: statSync(path).size, sha256: await hashOf(path, advance, 'checking') };
}

async function write(
  path: string,
  { name, parts }: FileToCopy,
  advance: Advance,
): Promise<ImportRecord['files'][number]> {
  const file = beginAtomicFile(path);
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for (const part of parts()) {
      file.append(part);
      hash.update(part);
      bytes += part.length;
      await advance('copying', part.length, name);
    }
    file.finish();
  } finally {
    file.abandon();
  }
  return { name, bytes, sha256: hash.digest('hex') };
}

async function hashOf(path: string, advance: Advance, label: string): Promise<string> {
  const hash = createHash('sha256');
  for (const piece of piecesOf(path)) {
    hash.update(piece);
    await advance(label, piece.length, basename(path));
  }
  return hash.digest('hex');
}

/** The journal of a copy that was begun, null where there is none that can be read. */
export function readJournal(folder: string): ImportRecord | null {
  const path = join(folder, importRecordName);
  if (!existsSync(path)) return null;
  try {
    return recordSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return null; // written by something else: the copy begins anew
  }
}

/** What a killed copy left half written, and files that this one will not make. */
function removeStrays(folder: string, files: readonly FileToCopy[]): void {
  const kept = new Set([importRecordName, ...files.map(({ name }) => name)]);
  for (const name of readdirSync(folder)) {
    if (!kept.has(name)) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

const megabytes = (bytes: number) => Math.ceil(bytes / 2 ** 20);
