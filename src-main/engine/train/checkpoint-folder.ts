/**
 * The folder of a checkpoint: its manifest, the check of its files, which ones a run has, and removing those it no longer
 * needs. What is inside the files is checkpoint.ts.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import type { CheckpointRecord } from '../../contract/run-events.ts';
import { explainDiskFailures } from '../base/atomic-file.ts';

export const schemaVersion = 1;
export const manifestName = 'manifest.json';
export const weightsName = 'weights.safetensors';
export const momentNames = ['moment-1.safetensors', 'moment-2.safetensors'] as const;
export const stateName = 'state.json';
/** All files but the manifest. */
export const fileNames: readonly string[] = [weightsName, ...momentNames, stateName];
/** How the folder of a checkpoint begins that is still being written. */
export const unfinished = '.unfinished-';
const folderPattern = /^step-\d{6,}-[0-9a-f]{8}$/;

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const manifestSchema = z.strictObject({
  format: z.literal('paretune-checkpoint'),
  version: z.literal(schemaVersion),
  step: z.int().min(0),
  weightsHash: hash,
  files: z.record(z.string(), z.strictObject({ bytes: z.int().min(0), sha256: hash })),
});
export type Manifest = z.output<typeof manifestSchema>;

/** The checkpoints of a run by step, as far as their manifests and file sizes tell (hashes are checked on load). */
export function listCheckpoints(runFolder: string): CheckpointRecord[] {
  const parent = join(runFolder, 'checkpoints');
  if (!fs.existsSync(parent)) return [];
  const records: CheckpointRecord[] = [];
  for (const name of fs
    .readdirSync(parent)
    .filter((entry) => folderPattern.test(entry))
    .sort()) {
    try {
      const folder = join(parent, name);
      const { manifest, record } = readManifest(folder);
      const whole = Object.entries(manifest.files).every(
        ([file, { bytes }]) => fs.statSync(join(folder, file)).size === bytes,
      );
      if (whole) records.push(record);
    } catch {
      // not a checkpoint: half deleted, damaged, or of a newer version
    }
  }
  return records.sort((a, b) => a.step - b.step);
}

/**
 * Removes the checkpoints of all steps but `keep`, and what a killed save left behind; returns the steps removed, in
 * order. A checkpoint loses its manifest first, so that half of one is never taken for a whole.
 */
export function pruneCheckpoints(runFolder: string, keep: ReadonlySet<number>): number[] {
  const parent = join(runFolder, 'checkpoints');
  if (!fs.existsSync(parent)) return [];
  return explainDiskFailures(parent, () => {
    const dropped = new Set<number>();
    for (const { step, folder } of listCheckpoints(runFolder)) {
      if (keep.has(step)) continue;
      fs.rmSync(join(runFolder, folder, manifestName));
      dropped.add(step);
    }
    for (const name of fs.readdirSync(parent)) {
      const remains = folderPattern.test(name) && !fs.existsSync(join(parent, name, manifestName));
      if (remains || name.startsWith(unfinished)) fs.rmSync(join(parent, name), { recursive: true, force: true });
    }
    return [...dropped].sort((a, b) => a - b);
  });
}

/** The manifest of a checkpoint folder. Errors: `not-found`, `unsupported` (newer), `bad-file`. */
export function readManifest(folder: string): { manifest: Manifest; record: CheckpointRecord } {
  const path = join(folder, manifestName);
  if (!fs.existsSync(path)) {
    throw new ParetuneError('not-found', `There is no checkpoint at ${folder} (no ${manifestName}).`, {
      hint: 'Name a checkpoint that `paretune show RUN` lists.',
    });
  }
  const text = fs.readFileSync(path, 'utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badCheckpoint(folder, `${manifestName} is not JSON`, cause);
  }
  const newer = z
    .object({ format: z.literal('paretune-checkpoint'), version: z.int().gt(schemaVersion) })
    .safeParse(value);
  if (newer.success) {
    throw new ParetuneError(
      'unsupported',
      `The checkpoint at ${folder} has version ${newer.data.version}; this program reads ${schemaVersion}.`,
      { hint: 'It was written by a newer Paretune: update this one.' },
    );
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) throw badCheckpoint(folder, `${manifestName}: ${z.prettifyError(parsed.error)}`);
  const missing = fileNames.filter((name) => !Object.hasOwn(parsed.data.files, name));
  const foreign = Object.keys(parsed.data.files).filter((name) => !fileNames.includes(name));
  if (missing.length + foreign.length > 0) {
    throw badCheckpoint(folder, `${manifestName} does not list exactly ${fileNames.join(', ')}`);
  }
  return { manifest: parsed.data, record: recordOf(parsed.data, text) };
}

/** What the run's log says of a checkpoint. */
export function recordOf(manifest: Manifest, manifestText: string): CheckpointRecord {
  const manifestHash = createHash('sha256').update(manifestText).digest('hex');
  return {
    step: manifest.step,
    folder: `checkpoints/step-${String(manifest.step).padStart(6, '0')}-${manifestHash.slice(0, 8)}`,
    manifestHash,
    weightsHash: manifest.weightsHash,
    bytes: Object.values(manifest.files).reduce((sum, file) => sum + file.bytes, Buffer.byteLength(manifestText)),
  };
}

/** Checks size and hash of every file that the manifest lists. Error: `bad-file` naming the first that differs. */
export function requireFiles(folder: string, manifest: Manifest): void {
  for (const [name, expected] of Object.entries(manifest.files)) {
    let found: { bytes: number; sha256: string };
    try {
      found = measureFile(join(folder, name));
    } catch (cause) {
      throw badCheckpoint(folder, `${name} is missing or cannot be read`, cause);
    }
    if (found.bytes !== expected.bytes) {
      throw badCheckpoint(folder, `${name} has ${found.bytes} bytes, written were ${expected.bytes}`);
    }
    if (found.sha256 !== expected.sha256) {
      throw badCheckpoint(folder, `${name} is not what was written: its SHA-256 differs`);
    }
  }
}

/** Size and SHA-256 of a file, read in pieces: it may be larger than a buffer can be. */
export function measureFile(path: string): { bytes: number; sha256: string } {
  const sum = createHash('sha256');
  const piece = Buffer.allocUnsafe(2 ** 20);
  const file = fs.openSync(path, 'r');
  let bytes = 0;
  try {
    for (let read = fs.readSync(file, piece); read > 0; read = fs.readSync(file, piece)) {
      sum.update(piece.subarray(0, read));
      bytes += read;
    }
  } finally {
    fs.closeSync(file);
  }
  return { bytes, sha256: sum.digest('hex') };
}

/** The error for a checkpoint that is not what was written. */
export function badCheckpoint(folder: string, what: string, cause?: unknown): ParetuneError {
  return new ParetuneError('bad-file', `The checkpoint at ${folder} is damaged: ${what}.`, {
    cause,
    hint: 'Use an earlier checkpoint of the run (`paretune show RUN` lists them).',
  });
}
