/**
 * Reader and writer of .safetensors files: 8 bytes header length, a JSON header, then the tensors. The file is untrusted:
 * nothing is allocated or read before the header has been checked against the file's size, and tensors are read by their
 * own ranges. Which tensors a model needs is not known here.
 *
 * Source: the format's specification (huggingface/safetensors, README "Format") and what its audits asked for: header of
 * at most 100 MB that starts with `{`, no duplicate keys, offsets that start at 0, leave no gap, do not overlap and end
 * at the end of the file, sizes that follow from type and shape without overflow, also for tensors without elements.
 */
import { closeSync, fstatSync } from 'node:fs';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { assert } from '../base/assert.ts';
import { writeFileAtomic } from '../base/atomic-file.ts';
import { damagedFile, openForReading, readRange } from './file-ranges.ts';
import { bfloatsToFloats, floatsToHalves, halvesToFloats } from '../base/half.ts';
import { parseStrictJson } from './strict-json.ts';

// biome-ignore format: a table
const BYTES = {
  F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1, F8_E4M3: 1, F8_E5M2: 1,
} as const;
export type TensorType = keyof typeof BYTES;

/** Where a tensor lies: [begin, end) in bytes from the start of the file. */
export type TensorEntry = { type: TensorType; shape: number[]; begin: number; end: number };
export type SafetensorsFile = {
  path: string;
  tensors: Map<string, TensorEntry>;
  metadata: Record<string, string>;
};
export type FloatTensor = { shape: number[]; data: Float32Array };

const MAX_HEADER_BYTES = 100_000_000;
const MAX_RANK = 16;

const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.int().min(0)).max(MAX_RANK),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});
const metadataSchema = z.record(z.string(), z.string());

/** Reads and checks the header of a file. Throws `not-found` or `bad-file`; the tensors are not read yet. */
export function openSafetensors(path: string): SafetensorsFile {
  const handle = openForReading(path);
  try {
    const fileBytes = fstatSync(handle).size;
    if (fileBytes < 10) throw badFile(path, `it has ${fileBytes} bytes, too few for a header`);
    const headerBytes = readRange(handle, path, 0, 8).readBigUInt64LE();
    if (headerBytes > BigInt(Math.min(MAX_HEADER_BYTES, fileBytes - 8))) {
      throw badFile(
        path,
        `its header claims ${headerBytes} bytes, the file has ${fileBytes} and a header at most ${MAX_HEADER_BYTES}`,
      );
    }
    const dataStart = 8 + Number(headerBytes);
    const { tensors, metadata } = parseHeader(path, readRange(handle, path, 8, dataStart), dataStart);
    checkRanges(path, tensors, dataStart, fileBytes);
    return { path, tensors, metadata };
  } finally {
    closeSync(handle);
  }
}

function parseHeader(path: string, bytes: Buffer, dataStart: number): Pick<SafetensorsFile, 'tensors' | 'metadata'> {
  if (bytes[0] !== 0x7b) throw badFile(path, 'its header does not start with {');
  let header: unknown;
  try {
    header = parseStrictJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes), 8);
  } catch (error) {
    throw badFile(path, `its header is not valid JSON: ${(error as Error).message}`);
  }
  const { __metadata__: rawMetadata = {}, ...rawTensors } = header as Record<string, unknown>;
  const metadata = metadataSchema.safeParse(rawMetadata);
  if (!metadata.success) throw badFile(path, 'its __metadata__ is not a record of strings');
  const tensors = new Map<string, TensorEntry>();
  // one by one: a record schema leaves out what is named __proto__
  for (const [name, entry] of Object.entries(rawTensors)) {
    const parsed = entrySchema.safeParse(entry);
    if (!parsed.success) {
      const { path: place, message } = parsed.error.issues[0];
      throw badFile(path, `tensor ${JSON.stringify([name, ...place].map(String).join(' ').slice(0, 200))}: ${message}`);
    }
    const { dtype, shape, data_offsets } = parsed.data;
    if (!Object.hasOwn(BYTES, dtype)) {
      throw badFile(path, `tensor ${name} is of type ${dtype}; known are ${Object.keys(BYTES).join(', ')}`);
    }
    const type = dtype as TensorType;
    // BigInt: the product of hostile dimensions must not round into a plausible size.
    const elements = shape.reduce((product, size) => product * BigInt(size), 1n);
    const [begin, end] = data_offsets;
    if (end < begin || BigInt(end - begin) !== elements * BigInt(BYTES[type])) {
      throw badFile(path, `tensor ${name} of ${type} [${shape}] cannot take the bytes ${begin} to ${end}`);
    }
    tensors.set(name, { type, shape, begin: dataStart + begin, end: dataStart + end });
  }
  return { tensors, metadata: metadata.data };
}

/** The tensors in the order of their bytes must tile the rest of the file: no gap, no overlap, nothing left over. */
function checkRanges(path: string, tensors: Map<string, TensorEntry>, dataStart: number, fileBytes: number): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let position = dataStart;
  for (const [name, { begin, end }] of inOrder) {
    if (begin !== position) throw badFile(path, `tensor ${name} starts at byte ${begin}, expected was ${position}`);
    position = end;
  }
  if (position !== fileBytes) throw badFile(path, `its tensors end at byte ${position}, the file at ${fileBytes}`);
}

/** One tensor as float32 (F32, F16 and BF16 widen exactly). Throws `unsupported` for any other type. */
export function readFloatTensor(file: SafetensorsFile, name: string): FloatTensor {
  const entry = file.tensors.get(name);
  assert(entry !== undefined, `no tensor ${name} in ${file.path}`);
  const { type, shape, begin, end } = entry;
  if (type !== 'F32' && type !== 'F16' && type !== 'BF16') {
    throw new ParetuneError(
      'unsupported',
      `${file.path}: tensor ${name} is of type ${type}; supported are F32, F16, BF16.`,
      {
        hint: 'Use the unquantized weights of the model.',
      },
    );
  }
  const handle = openForReading(file.path);
  try {
    const bytes = readRange(handle, file.path, begin, end);
    // The buffer is our own and starts at offset 0, so it can be viewed in place; all platforms we run on are little-endian.
    if (type === 'F32') return { shape, data: new Float32Array(bytes.buffer, 0, bytes.length / 4) };
    const halves = new Uint16Array(bytes.buffer, 0, bytes.length / 2);
    return { shape, data: type === 'F16' ? halvesToFloats(halves) : bfloatsToFloats(halves) };
  } finally {
    closeSync(handle);
  }
}

/** What a file is written from, tensor by tensor: `chunks` are its bytes in order, made only while they are written. */
export type TensorSource = { type: 'F32' | 'F16' | 'BF16'; shape: readonly number[]; chunks(): Iterable<Uint8Array> };

/** Writes float tensors, sorted by name, as F32 or F16; `writeTensors` says how. Throws `disk`. */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, FloatTensor>,
  options: { type?: 'F32' | 'F16'; metadata?: Record<string, string> } = {},
): void {
  const { type = 'F32', metadata } = options;
  const sources = new Map<string, TensorSource>();
  for (const [name, { shape, data }] of tensors) {
    assert(elementsOf(shape) === data.length, `tensor ${name} has ${data.length} values for [${shape}]`);
    const chunks = () => {
      const values = type === 'F32' ? data : floatsToHalves(data);
      return [new Uint8Array(values.buffer, values.byteOffset, values.byteLength)];
    };
    sources.set(name, { type, shape, chunks });
  }
  writeTensors(path, sources, metadata);
}

/** Writes tensors as one file that appears at `path` whole or not at all. Throws `disk`. */
export function writeTensors(
  path: string,
  sources: ReadonlyMap<string, TensorSource>,
  metadata?: Record<string, string>,
): void {
  writeFileAtomic(path, safetensorsParts(sources, metadata));
}

/** The bytes of a .safetensors file piece by piece, the tensors sorted by name: one chunk of one of them is held at a time. */
export function* safetensorsParts(
  sources: ReadonlyMap<string, TensorSource>,
  metadata: Record<string, string> = { format: 'pt' },
): Generator<Uint8Array> {
  const names = [...sources.keys()].sort();
  const header: Record<string, unknown> = Object.create(null);
  header.__metadata__ = metadata;
  let offset = 0;
  for (const name of names) {
    const source = sources.get(name)!;
    assert(name !== '__metadata__', 'a tensor cannot be named __metadata__');
    const end = offset + tensorBytes(source);
    header[name] = { dtype: source.type, shape: source.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  // Padded with spaces so that the tensors start on a multiple of 8, as the format's own writer does.
  const padded = Buffer.alloc(Math.ceil(json.length / 8) * 8, 0x20);
  json.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  yield length;
  yield padded;
  for (const name of names) {
    const source = sources.get(name)!;
    let left = tensorBytes(source);
    for (const chunk of source.chunks()) {
      left -= chunk.length;
      yield chunk;
    }
    assert(left === 0, `tensor ${name} lacks ${left} bytes`);
  }
}

/** What a tensor takes in a file. */
export function tensorBytes({ type, shape }: Pick<TensorSource, 'type' | 'shape'>): number {
  return elementsOf(shape) * BYTES[type];
}

function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function badFile(path: string, what: string): ParetuneError {
  return damagedFile(path, 'safetensors', what);
}
