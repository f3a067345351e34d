/**
 * Reads forward through the header of a GGUF file, a window of it at a time: numbers, texts and arrays in the format's
 * types. Every read checks first what is left of the file, and that a claimed count or length is within its bound.
 */
import type { ParetuneError } from '../../contract/errors.ts';
import { damagedFile, readRange } from './file-ranges.ts';

/** A number of 64 bits beyond 2^53 stays a bigint; arrays of numbers are typed arrays, of booleans a Uint8Array. */
export type GgufValue = number | bigint | boolean | string | string[] | NumberArray;
type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** The types of metadata values by their numbers in the file; null is an array. */
export const TYPES = [
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'string',
  null,
  'u64',
  'i64',
  'f64',
] as const;
export type ScalarType = NonNullable<(typeof TYPES)[number]>;
/** The least that one takes in the file; a string is its length and its bytes. */
// biome-ignore format: a table
export const BYTES: Record<ScalarType, number> = { u8: 1, i8: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, bool: 1, string: 8, u64: 8, i64: 8, f64: 8 };

export const MAX_STRING_BYTES = 16 * 2 ** 20;
const MAX_METADATA_BYTES = 256 * 2 ** 20;
const WINDOW = 2 ** 20;

export type GgufCursor = ReturnType<typeof makeCursor>;

/** A cursor at the start of an open file of this size. Its methods throw `bad-file`. */
export function makeCursor(handle: number, path: string, fileBytes: number) {
  const limit = Math.min(fileBytes, MAX_METADATA_BYTES);
  let window: Buffer = Buffer.alloc(0);
  let windowStart = 0;
  let position = 0;

  const bad = (what: string): ParetuneError => damagedFile(path, 'GGUF', what);
  /** The place of the next `bytes` bytes in the window. */
  const take = (bytes: number): number => {
    if (bytes > limit - position) {
      throw bad(
        bytes > fileBytes - position
          ? `it ends at byte ${fileBytes}, within its metadata`
          : `its metadata take more than ${MAX_METADATA_BYTES} bytes`,
      );
    }
    if (position + bytes > windowStart + window.length) {
      window = readRange(handle, path, position, Math.min(fileBytes, position + Math.max(bytes, WINDOW)));
      windowStart = position;
    }
    position += bytes;
    return position - bytes - windowStart;
  };
  const raw64 = (): bigint => {
    const at = take(8);
    return window.readBigUInt64LE(at);
  };
  /** How many of `what` follow: not more than `most`, nor than the file can hold at `leastBytes` each. */
  const count = (what: string, most: number, leastBytes: number): number => {
    const claimed = raw64();
    const room = Math.floor((fileBytes - position) / leastBytes);
    if (claimed <= BigInt(Math.min(most, room))) return Number(claimed);
    throw bad(`it claims ${claimed} ${what}; at most ${most} are read, and the file has room for ${room}`);
  };
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const string = (most: number): string => {
    const bytes = raw64();
    if (bytes > BigInt(most)) throw bad(`it claims a text of ${bytes} bytes; at most ${most} are read`);
    const at = take(Number(bytes));
    try {
      return decoder.decode(window.subarray(at, at + Number(bytes)));
    } catch {
      throw bad(`the text at byte ${position - Number(bytes)} is not UTF-8`);
    }
  };
  const scalar = (type: ScalarType): number | bigint | boolean | string => {
    if (type === 'string') return string(MAX_STRING_BYTES);
    const at = take(BYTES[type]);
    switch (type) {
      case 'u8':
        return window.readUInt8(at);
      case 'i8':
        return window.readInt8(at);
      case 'u16':
        return window.readUInt16LE(at);
      case 'i16':
        return window.readInt16LE(at);
      case 'u32':
        return window.readUInt32LE(at);
      case 'i32':
        return window.readInt32LE(at);
      case 'f32':
        return window.readFloatLE(at);
      case 'f64':
        return window.readDoubleLE(at);
      case 'u64':
        return small(window.readBigUInt64LE(at));
      case 'i64':
        return small(window.readBigInt64LE(at));
      case 'bool': {
        const value = window[at];
        if (value > 1) throw bad(`a truth value at byte ${position - 1} is ${value}`);
        return value === 1;
      }
    }
  };
  /** An array's numbers on memory of their own. */
  const numbers = (type: Exclude<ScalarType, 'string'>, length: number): NumberArray => {
    const at = take(length * BYTES[type]);
    const { buffer } = new Uint8Array(window.subarray(at, at + length * BYTES[type]));
    return new ARRAYS[type](buffer);
  };
  return { path, fileBytes, bad, position: () => position, raw64, count, string, scalar, numbers };
}

// biome-ignore format: a table
const ARRAYS = {
  u8: Uint8Array, i8: Int8Array, u16: Uint16Array, i16: Int16Array, u32: Uint32Array, i32: Int32Array, f32: Float32Array,
  bool: Uint8Array, u64: BigUint64Array, i64: BigInt64Array, f64: Float64Array,
};

const small = (value: bigint): number | bigint =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;

/** A name of a stranger, for a message. */
export const quoted = (name: string) => JSON.stringify(name.slice(0, 100));
