/**
 * Rotary position embedding (Su et al., arXiv 2104.09864): the angles, as tables of cosines and sines. Halves layout, as in
 * Hugging Face's Llama: of the D components that are turned, i is paired with i + D/2. Scaling: linear, Llama 3's by
 * wavelength, and LongRoPE's short factors (transformers, modeling_rope_utils.py).
 */
import { longRopeAmplitude, type Rope } from './rope-config.ts';

/** Angle of one position for each of the D/2 pairs, scaled as the configuration says. */
export function inverseFrequencies({ theta, dim, scaling }: Rope): number[] {
  const plain = Array.from({ length: dim / 2 }, (_, i) => theta ** ((-2 * i) / dim));
  if (scaling === null) return plain;
  if (scaling.kind === 'linear') return plain.map((frequency) => frequency / scaling.factor);
  if (scaling.kind === 'longrope') return plain.map((frequency, i) => frequency / scaling.shortFactors[i]);
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  return plain.map((frequency) => {
    const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
    if (turns < lowFreqFactor) return frequency / factor;
    if (turns > highFreqFactor) return frequency;
    const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

/** Cosines and sines [positions, D/2], row-major; under LongRoPE both are longer than 1. */
export function ropeTables(rope: Rope, positions: number): { cosines: Float32Array; sines: Float32Array } {
  const frequencies = inverseFrequencies(rope);
  const { scaling } = rope;
  const amplitude =
    scaling?.kind === 'longrope' ? longRopeAmplitude(scaling.originalMaxPositions, scaling.longMaxPositions) : 1;
  const cosines = new Float32Array(positions * frequencies.length);
  const sines = new Float32Array(cosines.length);
  for (let position = 0; position < positions; position++) {
    for (const [i, frequency] of frequencies.entries()) {
      cosines[position * frequencies.length + i] = amplitude * Math.cos(position * frequency);
      sines[position * frequencies.length + i] = amplitude * Math.sin(position * frequency);
    }
  }
  return { cosines, sines };
}
