/**
 * Smaller forms of a weight matrix for export: 4-bit numbers in blocks of 32 with a scale each, as com.microsoft
 * MatMulNBits reads them (two numbers a byte, the lower first; zero point 8). Round to nearest, no calibration.
 */

export const BLOCK = 32;

export type FourBit = {
  /** [rows, ceil(columns / 32), 16] */
  packed: Uint8Array;
  /** [rows * ceil(columns / 32)] */
  scales: Float32Array;
};

/** A matrix [rows, columns] in 4 bits. A last block that is not full is padded with the zero point. */
export function quantize4(data: Float32Array, rows: number, columns: number): FourBit {
  const blocks = Math.ceil(columns / BLOCK);
  const packed = new Uint8Array(rows * blocks * (BLOCK / 2)).fill(0x88);
  const scales = new Float32Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * columns + block * BLOCK;
      const end = Math.min(start + BLOCK, (row + 1) * columns);
      // the number of largest size, with its sign, becomes -8: that end of the range is one step longer
      let extreme = 0;
      for (let i = start; i < end; i++) if (Math.abs(data[i]) > Math.abs(extreme)) extreme = data[i];
      const scale = Math.fround(extreme / -8);
      scales[row * blocks + block] = scale;
      for (let i = start; i < end; i++) {
        const level = scale === 0 ? 8 : Math.min(15, Math.max(0, Math.round(data[i] / scale) + 8));
        const at = (row * blocks + block) * (BLOCK / 2) + ((i - start) >> 1);
        packed[at] = (i - start) % 2 === 0 ? (packed[at] & 0xf0) | level : (packed[at] & 0x0f) | (level << 4);
      }
    }
  }
  return { packed, scales };
}

/** The matrix that a quantized one stands for. */
export function dequantize4({ packed, scales }: FourBit, rows: number, columns: number): Float32Array {
  const blocks = Math.ceil(columns / BLOCK);
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const block = row * blocks + Math.floor(column / BLOCK);
      const byte = packed[block * (BLOCK / 2) + ((column % BLOCK) >> 1)];
      const level = column % 2 === 0 ? byte & 0x0f : byte >> 4;
      data[row * columns + column] = (level - 8) * scales[block];
    }
  }
  return data;
}
