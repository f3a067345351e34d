/**
 * How arrays and texts of a trajectory lie in the database. Every encoding is lossless: what is read equals what was
 * written, bit for bit, so that an update can be computed again from the database. It knows no tables.
 *
 * tokens    unsigned LEB128 integers, one a token id (7 bits a byte, low bits first, high bit = more follow)
 * segments  three unsigned LEB128 integers a segment: kind (0 prompt, 1 model, 2 tool), start, end
 * floats    one tag byte, then little-endian IEEE numbers: tag 4 = float32 (every value survives the rounding, as
 *           log-probabilities from the runtime do), tag 8 = float64
 * text      SQLite TEXT (UTF-8); a string with a lone surrogate, which UTF-8 cannot hold (a tool output cut in the middle
 *           of a character), is a BLOB of UTF-16LE instead
 * JSON      engine/base/exact-json.ts
 */
import type { Segment } from '../contract/records.ts';
import { assert } from '../engine/base/assert.ts';

const segmentKinds: readonly Segment['kind'][] = ['prompt', 'model', 'tool'];
const largest = 0xffffffff;

/** Unsigned LEB128 of integers in [0, 2^32). */
export function encodeIntegers(values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 5);
  let length = 0;
  for (const value of values) {
    assert(Number.isInteger(value) && value >= 0 && value <= largest, `${value} is not an unsigned 32-bit integer`);
    let rest = value >>> 0;
    while (rest > 0x7f) {
      bytes[length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[length++] = rest;
  }
  return bytes.subarray(0, length);
}

/** The integers of `encodeIntegers`. Throws a plain Error where the bytes end early or an integer is too long. */
export function decodeIntegers(bytes: Uint8Array): number[] {
  const values: number[] = [];
  let value = 0;
  let scale = 1;
  for (const byte of bytes) {
    value += (byte & 0x7f) * scale;
    if (value > largest) throw new Error('an integer does not fit 32 bits');
    if (byte & 0x80) {
      scale *= 128;
      if (scale > 2 ** 28) throw new Error('an integer is longer than five bytes');
    } else {
      values.push(value);
      value = 0;
      scale = 1;
    }
  }
  if (scale !== 1) throw new Error('the last integer is cut off');
  return values;
}

/** Segments as integers, three each. */
export function encodeSegments(segments: readonly Segment[]): Buffer {
  return encodeIntegers(segments.flatMap(({ kind, start, end }) => [segmentKinds.indexOf(kind), start, end]));
}

/** The segments of `encodeSegments`. Throws a plain Error for bytes that are none. */
export function decodeSegments(bytes: Uint8Array): Segment[] {
  const values = decodeIntegers(bytes);
  if (values.length % 3 !== 0) throw new Error('a segment is cut off');
  return Array.from({ length: values.length / 3 }, (_, index) => {
    const kind = segmentKinds[values[3 * index]];
    if (kind === undefined) throw new Error(`segment kind ${values[3 * index]} is unknown`);
    return { kind, start: values[3 * index + 1], end: values[3 * index + 2] };
  });
}

/** Numbers as float32 where that loses nothing (NaN and -0 included), else as float64. */
export function encodeFloats(values: readonly number[]): Buffer {
  const width = values.every((value) => Object.is(Math.fround(value), value)) ? 4 : 8;
  const bytes = Buffer.allocUnsafe(1 + values.length * width);
  bytes[0] = width;
  values.forEach((value, index) => {
    if (width === 4) bytes.writeFloatLE(value, 1 + index * 4);
    else bytes.writeDoubleLE(value, 1 + index * 8);
  });
  return bytes;
}

/** How many numbers `encodeFloats` wrote into so many bytes, from the first of them. Throws a plain Error for bytes that are none. */
export function floatCount(head: Uint8Array, length: number): number {
  const width = head[0];
  if (width !== 4 && width !== 8) throw new Error(`number width ${width} is unknown`);
  if ((length - 1) % width !== 0) throw new Error('a number is cut off');
  return (length - 1) / width;
}

/** The numbers of `encodeFloats`. Throws a plain Error for bytes that are none. */
export function decodeFloats(bytes: Uint8Array): number[] {
  const count = floatCount(bytes, bytes.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset + 1, bytes.length - 1);
  return Array.from({ length: count }, (_, index) =>
    bytes[0] === 4 ? view.getFloat32(index * 4, true) : view.getFloat64(index * 8, true),
  );
}

/** A string as SQLite keeps it without loss. */
export function encodeText(text: string): string | Buffer {
  return text.isWellFormed() ? text : Buffer.from(text, 'utf16le');
}

/** The string of `encodeText`. */
export function decodeText(value: string | Uint8Array): string {
  return typeof value === 'string' ? value : Buffer.from(value).toString('utf16le');
}
