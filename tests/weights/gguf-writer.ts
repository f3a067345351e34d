/** GGUF files byte by byte, right ones and wrong ones. Only tests import this. */

const TYPES = { u8: 0, i8: 1, u16: 2, i16: 3, u32: 4, i32: 5, f32: 6, bool: 7, string: 8, u64: 10, i64: 11, f64: 12 };
type Scalar = keyof typeof TYPES;
export type Value = { type: Scalar; value: number | string | boolean } | { array: Scalar; values: (number | string)[] };

export const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
export const u64 = (value: number | bigint) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
export const text = (value: string, claimed: number | bigint = Buffer.byteLength(value)) =>
  Buffer.concat([u64(claimed), Buffer.from(value)]);

function scalar(type: Scalar, value: number | string | boolean): Buffer {
  if (type === 'string') return text(String(value));
  if (type === 'u64' || type === 'i64') return u64(BigInt.asUintN(64, BigInt(value)));
  const bytes = Buffer.alloc(8);
  const number = Number(value);
  if (type === 'f32') return bytes.subarray(0, bytes.writeFloatLE(number));
  if (type === 'f64') return bytes.subarray(0, bytes.writeDoubleLE(number));
  const size = type === 'bool' || type === 'u8' || type === 'i8' ? 1 : type === 'u16' || type === 'i16' ? 2 : 4;
  bytes.writeInt32LE(number | 0);
  return bytes.subarray(0, size);
}

/** A metadata entry; `raw` puts any bytes where type and value go. */
export function entry(key: string, value: Value | { raw: Buffer }): Buffer {
  if ('raw' in value) return Buffer.concat([text(key), value.raw]);
  if ('type' in value) return Buffer.concat([text(key), u32(TYPES[value.type]), scalar(value.type, value.value)]);
  const { array, values } = value;
  const head = [text(key), u32(9), u32(TYPES[array]), u64(values.length)];
  return Buffer.concat([...head, ...values.map((item) => scalar(array, item))]);
}

/** A line of the directory: dimensions as the file has them, fastest first. */
export function tensorInfo(name: string, dims: (number | bigint)[], type: number, offset: number | bigint): Buffer {
  return Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)]);
}

export type Parts = {
  magic?: string;
  version?: number;
  entries?: Buffer[];
  infos?: Buffer[];
  data?: Buffer;
  claimedEntries?: number | bigint;
  claimedTensors?: number | bigint;
  alignment?: number;
};

/** A whole file; what is not given is right. */
export function ggufBytes(parts: Parts): Buffer {
  const { entries = [], infos = [], data = Buffer.alloc(0), alignment = 32 } = parts;
  const counts = [u64(parts.claimedTensors ?? infos.length), u64(parts.claimedEntries ?? entries.length)];
  const head = [Buffer.from(parts.magic ?? 'GGUF'), u32(parts.version ?? 3), ...counts, ...entries, ...infos];
  const length = head.reduce((sum, { length }) => sum + length, 0);
  return Buffer.concat([...head, Buffer.alloc((alignment - (length % alignment)) % alignment), data]);
}

/** One F32 tensor after the other. */
export function floatTensors(tensors: Record<string, { dims: number[]; values: ArrayLike<number> }>): {
  infos: Buffer[];
  data: Buffer;
} {
  const infos: Buffer[] = [];
  const data: Buffer[] = [];
  let offset = 0;
  for (const [name, { dims, values }] of Object.entries(tensors)) {
    infos.push(tensorInfo(name, dims, 0, offset));
    const bytes = Buffer.from(Float32Array.from(values).buffer);
    const padded = Buffer.alloc(Math.ceil(bytes.length / 32) * 32);
    bytes.copy(padded);
    data.push(padded);
    offset += padded.length;
  }
  return { infos, data: Buffer.concat(data) };
}
