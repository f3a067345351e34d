/**
 * Rotary position embedding (Su et al., arXiv 2104.09864): the angles, as tables of cosines and sines. Halves layout, as in
 * Hugging Face's Llama: component i is paired with i + D/2. Scaling: linear, and Llama 3's by wavelength (transformers,
 * modeling_rope_utils.py).
 */
import type { ModelConfig } from './model-config.ts';

/** Angle of one position for each of the D/2 pairs, scaled as the configuration says. */
export function inverseFrequencies(config: ModelConfig): number[] {
  const { theta, scaling } = config.rope;
  const plain = Array.from({ length: config.headDim / 2 }, (_, i) => theta ** ((-2 * i) / config.headDim));
  if (scaling === null) return plain;
  if (scaling.kind === 'linear') return plain.map((frequency) => frequency / scaling.factor);
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  return plain.map((frequency) => {
    const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
    if (turns < lowFreqFactor) return frequency / factor;
    if (turns > highFreqFactor) return frequency;
    const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

/** Cosines and sines [positions, D/2], row-major. */
export function ropeTables(config: ModelConfig, positions: number): { cosines: Float32Array; sines: Float32Array } {
  const frequencies = inverseFrequencies(config);
  const cosines = new Float32Array(positions * frequencies.length);
  const sines = new Float32Array(cosines.length);
  for (let position = 0; position < positions; position++) {
    for (const [i, frequency] of frequencies.entries()) {
      cosines[position * frequencies.length + i] = Math.cos(position * frequency);
      sines[position * frequencies.length + i] = Math.sin(position * frequency);
    }
  }
  return { cosines, sines };
}
