/**
 * Reader of .gguf files, llama.cpp's format: a header of counts, metadata as typed key/value pairs, a directory of
 * tensors, then the tensors. The file is untrusted: every count, length, dimension and offset is checked against the
 * file's size and a bound before anything is allocated by it, and tensors are read by their own ranges. What the metadata
 * mean (gguf-config.ts), and how blocks become numbers (gguf-blocks.ts), is not known here.
 *
 * Source: the format's description (ggml, docs/gguf.md, versions 2 and 3, little-endian), and what went wrong in other
 * readers: counts and lengths taken at their word (CVE-2024-23605, CVE-2024-21802, CVE-2026-33298), tensors beyond the end
 * of the file (CVE-2026-7482), unbounded alignment, number of dimensions, nesting and types of elements.
 */
import { closeSync, fstatSync } from 'node:fs';
import { ParetuneError } from '../../contract/errors.ts';
import { openForReading, readRange } from './file-ranges.ts';
import { type BlockFormat, type BlockType, blockTypeOf } from './gguf-blocks.ts';
import {
  BYTES,
  type GgufCursor,
  type GgufValue,
  MAX_STRING_BYTES,
  makeCursor,
  quoted,
  type ScalarType,
  TYPES,
} from './gguf-cursor.ts';

/** Where a tensor lies, [begin, end) in bytes from the start of the file; `shape` is [rows, columns] as elsewhere here. */
export type GgufTensor = { type: BlockType; format: BlockFormat; shape: number[]; begin: number; end: number };
export type GgufFile = {
  path: string;
  fileBytes: number;
  metadata: Map<string, GgufValue>;
  tensors: Map<string, GgufTensor>;
};

const MAX_ENTRIES = 65_536;
const MAX_TENSORS = 65_536;
const MAX_DIMENSIONS = 4;
const MAX_NAME_BYTES = 65_535;
const MAX_ARRAY = 4_194_304;
/** All strings of all arrays: each takes more memory than bytes of the file. */
const MAX_LISTED_STRINGS = 8_388_608;
const MAX_ALIGNMENT = 65_536;

/** Reads and checks metadata and directory. Throws `not-found`, `bad-file`, or `unsupported` for a version or tensor type. */
export function openGguf(path: string): GgufFile {
  const handle = openForReading(path);
  try {
    const fileBytes = fstatSync(handle).size;
    const cursor = makeCursor(handle, path, fileBytes);
    readMagic(cursor, path);
    const tensorCount = cursor.count('tensors', MAX_TENSORS, 24);
    const entryCount = cursor.count('metadata entries', MAX_ENTRIES, 13);
    const metadata = readMetadata(cursor, entryCount);
    const alignment = metadata.get('general.alignment') ?? 32;
    if (typeof alignment !== 'number' || !isAlignment(alignment)) {
      throw cursor.bad(`general.alignment is ${String(alignment)}; a power of two up to ${MAX_ALIGNMENT} is allowed`);
    }
    if (Number(metadata.get('split.count') ?? 1) > 1) {
      throw new ParetuneError('unsupported', `${path} is one of ${metadata.get('split.count')} parts of a model.`, {
        hint: 'Join them with llama-gguf-split --merge, then give the whole file.',
      });
    }
    const directory = readDirectory(cursor, tensorCount);
    return { path, fileBytes, metadata, tensors: placeTensors(cursor, directory, alignment, fileBytes) };
  } finally {
    closeSync(handle);
  }
}

function readMagic(cursor: GgufCursor, path: string): void {
  if (cursor.scalar('u32') !== 0x46554747) throw cursor.bad('it does not start with GGUF');
  const version = cursor.scalar('u32') as number;
  if (version === 2 || version === 3) return;
  const what = version % 65_536 === 0 ? 'big-endian' : `version ${version}`;
  throw new ParetuneError(
    'unsupported',
    `${path} is a GGUF file of ${what}; read are versions 2 and 3, little-endian.`,
    {
      hint: 'Convert the model again with a current llama.cpp.',
    },
  );
}

const isAlignment = (value: number) =>
  Number.isInteger(value) && value >= 1 && value <= MAX_ALIGNMENT && (value & (value - 1)) === 0;

function readMetadata(cursor: GgufCursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  let listed = 0;
  for (let i = 0; i < count; i++) {
    const key = cursor.string(MAX_NAME_BYTES);
    if (metadata.has(key)) throw cursor.bad(`two metadata entries are named ${quoted(key)}`);
    const type = typeOf(cursor, key);
    if (type !== null) {
      metadata.set(key, cursor.scalar(type));
      continue;
    }
    const element = typeOf(cursor, key);
    if (element === null) throw cursor.bad(`${quoted(key)} is an array of arrays`);
    const length = cursor.count(`elements of ${quoted(key)}`, MAX_ARRAY, BYTES[element]);
    if (element !== 'string') {
      metadata.set(key, cursor.numbers(element, length));
      continue;
    }
    listed += length;
    if (listed > MAX_LISTED_STRINGS) throw cursor.bad(`its metadata lists more than ${MAX_LISTED_STRINGS} strings`);
    metadata.set(
      key,
      Array.from({ length }, () => cursor.string(MAX_STRING_BYTES)),
    );
  }
  return metadata;
}

function typeOf(cursor: GgufCursor, key: string): ScalarType | null {
  const number = cursor.scalar('u32') as number;
  if (number >= TYPES.length)
    throw cursor.bad(`${quoted(key)} is of type ${number}; known are 0 to ${TYPES.length - 1}`);
  return TYPES[number];
}

type Listed = { name: string; type: BlockType; format: BlockFormat; shape: number[]; bytes: number; offset: number };

function readDirectory(cursor: GgufCursor, count: number): Listed[] {
  const names = new Set<string>();
  return Array.from({ length: count }, () => {
    const name = cursor.string(MAX_NAME_BYTES);
    if (names.has(name)) throw cursor.bad(`two tensors are named ${quoted(name)}`);
    names.add(name);
    const dimensions = cursor.scalar('u32') as number;
    if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
      throw cursor.bad(`tensor ${quoted(name)} has ${dimensions} dimensions; allowed are 1 to ${MAX_DIMENSIONS}`);
    }
    // the file counts the fastest dimension first
    const sizes = Array.from({ length: dimensions }, () => cursor.raw64());
    const number = cursor.scalar('u32') as number;
    const [type, format] = blockTypeOf(number, `${cursor.path}: tensor ${quoted(name)}`);
    const elements = sizes.reduce((product, size) => product * size, 1n);
    if (elements < 1n || elements > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw cursor.bad(`tensor ${quoted(name)} has the dimensions ${sizes.join(' x ')}`);
    }
    if (sizes[0] % BigInt(format.elements) !== 0n) {
      throw cursor.bad(`tensor ${quoted(name)} of ${type} has rows of ${sizes[0]}, no multiple of ${format.elements}`);
    }
    const bytes = (elements / BigInt(format.elements)) * BigInt(format.bytes);
    const offset = cursor.raw64();
    if (bytes + offset > BigInt(cursor.fileBytes)) {
      throw cursor.bad(`tensor ${quoted(name)} of ${bytes} bytes at offset ${offset} lies beyond the end of the file`);
    }
    const shape = sizes.map(Number).reverse();
    return { name, type, format, shape, bytes: Number(bytes), offset: Number(offset) };
  });
}

/** The tensors in the order of their bytes must tile the rest of the file, each padded to the alignment. */
function placeTensors(
  cursor: GgufCursor,
  listed: Listed[],
  alignment: number,
  fileBytes: number,
): Map<string, GgufTensor> {
  const aligned = (position: number) => Math.ceil(position / alignment) * alignment;
  const dataStart = aligned(cursor.position());
  const tensors = new Map<string, GgufTensor>();
  let free = 0;
  for (const { name, type, format, shape, bytes, offset } of listed.toSorted((a, b) => a.offset - b.offset)) {
    if (offset !== free) throw cursor.bad(`tensor ${quoted(name)} starts at offset ${offset}, expected was ${free}`);
    const begin = dataStart + offset;
    if (begin + bytes > fileBytes) {
      throw cursor.bad(`tensor ${quoted(name)} ends at byte ${begin + bytes}, the file at ${fileBytes}`);
    }
    tensors.set(name, { type, format, shape, begin, end: begin + bytes });
    free = aligned(offset + bytes);
  }
  const end = Math.max(dataStart + free, cursor.position());
  if (fileBytes > end) throw cursor.bad(`its tensors end at byte ${end}, the file at ${fileBytes}`);
  // in the order of the directory, whatever the order of the bytes
  return new Map(listed.map(({ name }) => [name, tensors.get(name)!]));
}

/** At least one row, at most about this much of the file at once. */
const CHUNK_BYTES = 4 * 2 ** 20;

/**
 * The bytes of a tensor as the file has them, some whole rows at a time, from top to bottom or in an order of its own
 * (which reads the tensor at once: only small ones have one). Throws `bad-file` where the file has become shorter.
 */
export function* rowsOf(file: GgufFile, name: string, order: Uint32Array | null): Generator<Buffer> {
  const { shape, begin, end } = file.tensors.get(name)!;
  const rows = order?.length ?? (shape.length === 1 ? 1 : shape[0]);
  const rowBytes = (end - begin) / rows;
  const handle = openForReading(file.path);
  try {
    if (order !== null) {
      const bytes = readRange(handle, file.path, begin, end);
      const ordered = Buffer.from(new ArrayBuffer(bytes.length));
      for (const [to, from] of order.entries())
        bytes.copy(ordered, to * rowBytes, from * rowBytes, (from + 1) * rowBytes);
      yield ordered;
      return;
    }
    const step = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes)) * rowBytes;
    for (let from = begin; from < end; from += step) {
      yield readRange(handle, file.path, from, Math.min(end, from + step));
    }
  } finally {
    closeSync(handle);
  }
}
