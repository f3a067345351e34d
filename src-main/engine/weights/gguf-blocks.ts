/**
 * The number formats of GGUF tensors, as float32: plain ones, and llama.cpp's blocks of 32 or 256 integers with scales.
 * Each is a product and at most one difference or sum of numbers so short that float64 holds it exactly, so rounding once
 * to float32 gives the bits of the reference. Nothing is quantized here.
 *
 * Source: the block layouts of ggml (ggml-common.h), compared bit for bit with the dequantizer of the `gguf` Python
 * package 0.19 (scripts/make-gguf-fixtures.py).
 */
import { ParetuneError } from '../../contract/errors.ts';
import { bfloatsToFloats, halfToFloat, halvesToFloats } from '../base/half.ts';

/** A block is `elements` numbers in `bytes` bytes. */
export type BlockFormat = { elements: number; bytes: number };

const FORMATS = {
  F32: { elements: 1, bytes: 4 },
  F16: { elements: 1, bytes: 2 },
  BF16: { elements: 1, bytes: 2 },
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
  Q5_0: { elements: 32, bytes: 22 },
  Q5_1: { elements: 32, bytes: 24 },
  Q8_0: { elements: 32, bytes: 34 },
  Q4_K: { elements: 256, bytes: 144 },
  Q5_K: { elements: 256, bytes: 176 },
  Q6_K: { elements: 256, bytes: 210 },
} as const;
export type BlockType = keyof typeof FORMATS;

/** All types by their numbers in the file, those too that are refused by name. */
// biome-ignore format: a table
const NUMBERS: Record<number, string> = {
  0: 'F32', 1: 'F16', 2: 'Q4_0', 3: 'Q4_1', 6: 'Q5_0', 7: 'Q5_1', 8: 'Q8_0', 9: 'Q8_1', 10: 'Q2_K', 11: 'Q3_K', 12: 'Q4_K',
  13: 'Q5_K', 14: 'Q6_K', 15: 'Q8_K', 16: 'IQ2_XXS', 17: 'IQ2_XS', 18: 'IQ3_XXS', 19: 'IQ1_S', 20: 'IQ4_NL', 21: 'IQ3_S',
  22: 'IQ2_S', 23: 'IQ4_XS', 24: 'I8', 25: 'I16', 26: 'I32', 27: 'I64', 28: 'F64', 29: 'IQ1_M', 30: 'BF16', 34: 'TQ1_0',
  35: 'TQ2_0', 39: 'MXFP4', 40: 'NVFP4',
};

/** A type by its number in the file. Throws `unsupported` for one that is not read here; `where` begins the message. */
export function blockTypeOf(number: number, where: string): [BlockType, BlockFormat] {
  const name = NUMBERS[number] ?? `number ${number}`;
  if (Object.hasOwn(FORMATS, name)) return [name as BlockType, FORMATS[name as BlockType]];
  throw new ParetuneError(
    'unsupported',
    `${where} is of type ${name}; supported are ${Object.keys(FORMATS).join(', ')}.`,
    {
      hint: 'Use a file of the model in another quantization, e.g. Q8_0, Q4_K_M or F16.',
    },
  );
}

/** The numbers of whole blocks. `bytes` starts at offset 0 of its buffer. */
export function dequantize(type: BlockType, bytes: Uint8Array): Float32Array {
  const { buffer, length } = bytes;
  if (type === 'F32') return new Float32Array(buffer, 0, length / 4);
  if (type === 'F16') return halvesToFloats(new Uint16Array(buffer, 0, length / 2));
  if (type === 'BF16') return bfloatsToFloats(new Uint16Array(buffer, 0, length / 2));
  const { elements, bytes: size } = FORMATS[type];
  const floats = new Float32Array((length / size) * elements);
  const block = BLOCKS[type];
  for (let at = 0, to = 0; at < length; at += size, to += elements) block(bytes, at, floats, to);
  return floats;
}

/** Writes the numbers of the block at `at` from `to` on. */
type Block = (bytes: Uint8Array, at: number, floats: Float32Array, to: number) => void;

const half = (bytes: Uint8Array, at: number) => halfToFloat(bytes[at] | (bytes[at + 1] << 8));
const signed = (byte: number) => (byte << 24) >> 24;

/** 32 numbers of 4 bits, low halves of 16 bytes first; with a fifth bit each where `high` is where 32 of them lie. */
function fourOrFiveBits(low: number, high: number | null, affine: boolean): Block {
  return (bytes, at, floats, to) => {
    const scale = half(bytes, at);
    const least = affine ? half(bytes, at + 2) : 0;
    const offset = affine ? 0 : high === null ? 8 : 16;
    for (let i = 0; i < 32; i++) {
      const byte = bytes[at + low + (i & 15)];
      const fifth = high === null ? 0 : ((bytes[at + high + (i >> 3)] >> (i & 7)) & 1) << 4;
      const q = ((i < 16 ? byte & 15 : byte >> 4) | fifth) - offset;
      floats[to + i] = affine ? scale * q + least : scale * q;
    }
  };
}

/** The six-bit scale and minimum of part `i` of 8, packed into 12 bytes at `at`. */
function scaleAndLeast(bytes: Uint8Array, at: number, i: number): [scale: number, least: number] {
  if (i < 4) return [bytes[at + i] & 63, bytes[at + 4 + i] & 63];
  const both = bytes[at + 4 + i];
  return [(both & 15) | ((bytes[at + i - 4] >> 6) << 4), (both >> 4) | ((bytes[at + i] >> 6) << 4)];
}

/** 8 parts of 32 numbers, of 4 bits, or of 5 where their highest bits come first. */
function superBlock(low: number, high: number | null): Block {
  return (bytes, at, floats, to) => {
    const scaleOfAll = half(bytes, at);
    const leastOfAll = half(bytes, at + 2);
    for (let part = 0; part < 8; part++) {
      const [scale, least] = scaleAndLeast(bytes, at + 4, part);
      const d = scaleOfAll * scale;
      const m = leastOfAll * least;
      for (let i = 0; i < 32; i++) {
        const byte = bytes[at + low + (part >> 1) * 32 + i];
        const fifth = high === null ? 0 : ((bytes[at + high + i] >> part) & 1) << 4;
        floats[to + part * 32 + i] = d * ((part & 1 ? byte >> 4 : byte & 15) | fifth) - m;
      }
    }
  };
}

/** 16 parts of 16 numbers of 6 bits: 4 of them in 128 bytes, 2 in 64, then a signed scale a part and one for all. */
const sixBits: Block = (bytes, at, floats, to) => {
  const scaleOfAll = half(bytes, at + 208);
  for (let i = 0; i < 256; i++) {
    const [side, within] = [i >> 7, i & 127];
    const byte = bytes[at + side * 64 + (within & 63)];
    const high = (bytes[at + 128 + side * 32 + (within & 31)] >> (2 * (within >> 5))) & 3;
    const q = ((within < 64 ? byte & 15 : byte >> 4) | (high << 4)) - 32;
    floats[to + i] = scaleOfAll * signed(bytes[at + 192 + (i >> 4)]) * q;
  }
};

const eightBits: Block = (bytes, at, floats, to) => {
  const scale = half(bytes, at);
  for (let i = 0; i < 32; i++) floats[to + i] = scale * signed(bytes[at + 2 + i]);
};

const BLOCKS: Record<Exclude<BlockType, 'F32' | 'F16' | 'BF16'>, Block> = {
  Q4_0: fourOrFiveBits(2, null, false),
  Q4_1: fourOrFiveBits(4, null, true),
  Q5_0: fourOrFiveBits(6, 2, false),
  Q5_1: fourOrFiveBits(8, 4, true),
  Q8_0: eightBits,
  Q4_K: superBlock(16, null),
  Q5_K: superBlock(48, 16),
  Q6_K: sixBits,
};
