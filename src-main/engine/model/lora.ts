/**
 * Low-rank adapters (Hu et al., arXiv 2106.09685; PEFT's layout): y = W x + (alpha / rank) B (A x), A [rank, in] and
 * B [out, rank], no dropout. What exists, its start values and merging; the graph form is in decoder.ts.
 */
import type { Random } from '../base/random.ts';
import type { ModelConfig } from './model-config.ts';
import { weightSpecs } from './weight-specs.ts';

/** `base`: how the weights under the adapter are kept, float32 unless told otherwise. */
export type LoraOptions = {
  rank: number;
  alpha: number;
  targets: readonly string[];
  base?: 'float32' | 'float16';
};

/** One adapted matrix: the module's name without `.weight`, and its sizes. */
export type LoraModule = { module: string; inputs: number; outputs: number };

export const loraA = (module: string) => `${module}.lora_A.weight`;
export const loraB = (module: string) => `${module}.lora_B.weight`;

/** Projections that are one matrix in some families (Phi-3): who asks for a part of one gets all of it. */
const FUSED: Record<string, readonly string[]> = {
  qkv_proj: ['q_proj', 'k_proj', 'v_proj'],
  gate_up_proj: ['gate_proj', 'up_proj'],
};

/** The matrices an adapter changes, in the order of the computation. */
export function loraModules(config: ModelConfig, targets: readonly string[]): LoraModule[] {
  return weightSpecs(config).flatMap(({ name, shape, role }) => {
    const module = name.slice(0, -'.weight'.length);
    const last = module.slice(module.lastIndexOf('.') + 1);
    const wanted = role === 'linear' && [last, ...(FUSED[last] ?? [])].some((part) => targets.includes(part));
    return wanted ? [{ module, inputs: shape[1], outputs: shape[0] }] : [];
  });
}

/** Names and shapes of an adapter's tensors. */
export function loraSpecs(config: ModelConfig, options: LoraOptions): { name: string; shape: number[] }[] {
  return loraModules(config, options.targets).flatMap(({ module, inputs, outputs }) => [
    { name: loraA(module), shape: [options.rank, inputs] },
    { name: loraB(module), shape: [outputs, options.rank] },
  ]);
}

/** Start values as in PEFT: A uniform in +-1/sqrt(in) (Kaiming with a = sqrt 5), B zero, so that the adapter changes nothing yet. */
export function initialLora(config: ModelConfig, options: LoraOptions, random: Random): Map<string, Float32Array> {
  return new Map(
    loraSpecs(config, options).map(({ name, shape }) => {
      const data = new Float32Array(shape[0] * shape[1]);
      const bound = 1 / Math.sqrt(shape[1]);
      if (name.endsWith('lora_A.weight'))
        for (let i = 0; i < data.length; i++) data[i] = (2 * random.next() - 1) * bound;
      return [name, data];
    }),
  );
}

/** W + (alpha / rank) B A as a new array; weight [out, in] row-major. */
export function mergeLora(
  weight: Float32Array,
  a: Float32Array,
  b: Float32Array,
  { rank, alpha }: Pick<LoraOptions, 'rank' | 'alpha'>,
): Float32Array {
  const merged = Float32Array.from(weight);
  const inputs = a.length / rank;
  const outputs = b.length / rank;
  for (let row = 0; row < outputs; row++) {
    for (let r = 0; r < rank; r++) {
      const factor = (alpha / rank) * b[row * rank + r];
      if (factor === 0) continue;
      for (let column = 0; column < inputs; column++) merged[row * inputs + column] += factor * a[r * inputs + column];
    }
  }
  return merged;
}
