/**
 * Checkpoints: everything that a run needs to go on from a step as if it had never stopped. A checkpoint is a folder that
 * is whole or absent: its files are written under another name and flushed, the manifest with their hashes comes last,
 * then the folder gets its name. What is in the state is the training loop's business, which steps to keep is the
 * caller's, and which checkpoint counts after a resume is the database's.
 *
 *   RUN/checkpoints/step-000040-1f2e3d4c/   the last part is the beginning of the manifest's hash: a step that is taken
 *     weights.safetensors                   again and comes out differently never overwrites the first
 *     moment-1.safetensors
 *     moment-2.safetensors
 *     state.json
 *     manifest.json
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Json } from '../../contract/records.ts';
import type { CheckpointRecord } from '../../contract/run-events.ts';
import { assert } from '../base/assert.ts';
import {
  explainDiskFailures,
  type FileSystem,
  flushFolder,
  removeQuietly,
  renamePatiently,
  requireFreeBytes,
  writeFileDurable,
} from '../base/atomic-file.ts';
import { exactJson } from '../base/exact-json.ts';
import {
  badCheckpoint,
  fileNames,
  type Manifest,
  manifestName,
  measureFile,
  momentNames,
  readManifest,
  recordOf,
  requireFiles,
  schemaVersion,
  stateName,
  unfinished,
  weightsName,
} from './checkpoint-folder.ts';

export { listCheckpoints, pruneCheckpoints } from './checkpoint-folder.ts';

/** Row-major float32 values: shape.product = data.length. */
export type Tensor = { shape: number[]; data: Float32Array };
export type Tensors = ReadonlyMap<string, Tensor>;

/** Trainable weights, the optimizer's first and second moments under the same names, and the rest of the run's memory. */
export type CheckpointContent = {
  /** weights version: updates made so far */
  step: number;
  weights: Tensors;
  moments: { first: Tensors; second: Tensors };
  state: Json;
};

/** How tensors become a file and come back (weights/safetensors.ts, handed in: train/ may not import it). */
export type TensorFiles = {
  /** writes a new file; throws `disk` */
  write(path: string, tensors: Tensors): void;
  /** reads a file that `write` made; throws `bad-file` */
  read(path: string): Map<string, Tensor>;
};

/**
 * Saves a checkpoint below `runFolder`, durably, and says where. Equal content gives an equal folder, so saving it twice
 * is harmless. Errors: `disk`; every earlier checkpoint is then still whole.
 */
export function saveCheckpoint(
  runFolder: string,
  content: CheckpointContent,
  tensorFiles: TensorFiles,
  files: FileSystem = fs,
): CheckpointRecord {
  const { step, weights, moments, state } = content;
  assert(Number.isInteger(step) && step >= 0, `a checkpoint of step ${step}`);
  const parent = join(runFolder, 'checkpoints');
  const temporary = join(parent, `${unfinished}${process.pid}`);
  return explainDiskFailures(parent, () => {
    files.mkdirSync(parent, { recursive: true });
    const stateText = stateJson(state);
    const size = bytesOf(weights) + bytesOf(moments.first) + bytesOf(moments.second) + stateText.length;
    requireFreeBytes(parent, size * 1.05 + 2 ** 20, `The checkpoint of step ${step}`, files);
    try {
      files.rmSync(temporary, { recursive: true, force: true });
      files.mkdirSync(temporary);
      tensorFiles.write(join(temporary, weightsName), weights);
      tensorFiles.write(join(temporary, momentNames[0]), moments.first);
      tensorFiles.write(join(temporary, momentNames[1]), moments.second);
      writeFileDurable(join(temporary, stateName), stateText, files);
      for (const name of fileNames) flushFile(join(temporary, name), files);
      const manifest: Manifest = {
        format: 'paretune-checkpoint',
        version: schemaVersion,
        step,
        weightsHash: hashTensors(weights),
        files: Object.fromEntries(fileNames.map((name) => [name, measureFile(join(temporary, name))])),
      };
      const manifestText = exactJson(manifest, 2);
      writeFileDurable(join(temporary, manifestName), manifestText, files);
      flushFolder(temporary, files);
      const record = recordOf(manifest, manifestText);
      giveName(temporary, join(runFolder, record.folder), files);
      flushFolder(parent, files);
      return record;
    } catch (error) {
      removeQuietly(temporary, files);
      throw error;
    }
  });
}

/**
 * Reads a checkpoint folder, every byte checked against the manifest. Errors: `not-found` without one, `unsupported` for a
 * newer one, `bad-file` where a file is missing or changed.
 */
export function loadCheckpoint(
  folder: string,
  tensorFiles: TensorFiles,
): CheckpointContent & { record: CheckpointRecord } {
  const { manifest, record } = readManifest(folder);
  requireFiles(folder, manifest);
  const weights = tensorFiles.read(join(folder, weightsName));
  if (hashTensors(weights) !== manifest.weightsHash) throw badCheckpoint(folder, 'the hash of its weights differs');
  return {
    step: manifest.step,
    weights,
    moments: {
      first: tensorFiles.read(join(folder, momentNames[0])),
      second: tensorFiles.read(join(folder, momentNames[1])),
    },
    state: JSON.parse(fs.readFileSync(join(folder, stateName), 'utf8')) as Json,
    record,
  };
}

/** SHA-256 over the names (sorted), shapes and little-endian bytes of tensors: equal hashes mean equal policies. */
export function hashTensors(tensors: Tensors): string {
  const sum = createHash('sha256');
  for (const name of [...tensors.keys()].sort()) {
    const { shape, data } = tensors.get(name)!;
    sum.update(`${JSON.stringify([name, shape])}\n`);
    sum.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return sum.digest('hex');
}

/** The state as text that reads back equal. A NaN would come back as null and change the run: it is our bug. */
function stateJson(state: Json): string {
  const visit = (value: Json): boolean =>
    typeof value === 'object' && value !== null ? Object.values(value).every(visit) : !Number.isNaN(value);
  assert(visit(state), 'the state of a checkpoint holds NaN');
  return exactJson(state);
}

/** A folder of that name has the same manifest: it stays where it is whole, and makes room where it was damaged. */
function giveName(temporary: string, folder: string, files: FileSystem): void {
  if (files.existsSync(folder)) {
    if (isWhole(folder)) {
      removeQuietly(temporary, files);
      return;
    }
    files.rmSync(folder, { recursive: true });
  }
  renamePatiently(temporary, folder, files);
}

function isWhole(folder: string): boolean {
  try {
    requireFiles(folder, readManifest(folder).manifest);
    return true;
  } catch {
    return false;
  }
}

function flushFile(path: string, files: FileSystem): void {
  const file = files.openSync(path, 'r+');
  try {
    files.fsyncSync(file);
  } finally {
    files.closeSync(file);
  }
}

function bytesOf(tensors: Tensors): number {
  return [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
}
