/**
 * What a config.json says of rotary positions: the base of the angles, how many components of a head are turned, and how
 * the angles are stretched beyond the lengths that the model was first trained on. Both spellings are read: `rope_theta`
 * with `rope_scaling` (transformers 4) and `rope_parameters` (5). The angles themselves are rope.ts's.
 */
import { z } from 'zod';
import type { Json } from '../../contract/records.ts';
import { badConfig, unsupported } from './config-error.ts';
import type { FamilyTraits } from './model-families.ts';

export type RopeScaling =
  | {
      kind: 'llama3';
      factor: number;
      lowFreqFactor: number;
      highFreqFactor: number;
      originalMaxPositions: number;
    }
  | { kind: 'linear'; factor: number }
  /**
   * LongRoPE (Phi-3): each frequency is divided by a factor of its own, which up to `originalMaxPositions` is its short
   * one. Here a model with it ends there; the long factors, and the length they reach, are kept for who writes the file.
   */
  | {
      kind: 'longrope';
      shortFactors: number[];
      longFactors: number[];
      originalMaxPositions: number;
      longMaxPositions: number;
    };

/** `dim`: the first components of each head are turned, an even number of them. */
export type Rope = { theta: number; dim: number; scaling: RopeScaling | null };

const count = z.int().min(1).max(1e8);
const positive = z.number().positive().max(1e12);
const factors = z.array(positive).max(4_096);

const settings = {
  rope_theta: positive.optional(),
  rope_type: z.string().optional(),
  type: z.string().optional(), // the oldest spelling of rope_type
  partial_rotary_factor: positive.max(1).optional(),
  factor: positive.optional(),
  attention_factor: positive.nullish(),
  low_freq_factor: positive.optional(),
  high_freq_factor: positive.optional(),
  original_max_position_embeddings: count.optional(),
  short_factor: factors.optional(),
  long_factor: factors.optional(),
};
const ropeSchema = z.looseObject(settings);
type RopeKeys = z.infer<typeof ropeSchema>;

/** Where layers with a window turn by other angles, transformers 5 keeps the settings of both kinds apart. */
const nestedSchema = z.looseObject({
  ...settings,
  full_attention: ropeSchema.nullish(),
  sliding_attention: ropeSchema.nullish(),
});

/** The keys of config.json that are read here. */
export const ropeFields = {
  max_position_embeddings: count,
  original_max_position_embeddings: count.nullish(),
  partial_rotary_factor: positive.max(1).nullish(),
  rope_theta: positive.nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_local_base_freq: positive.nullish(),
  rope_parameters: nestedSchema.nullish(),
};
type RopeFields = z.infer<z.ZodObject<typeof ropeFields>>;

/**
 * What all layers turn by, and what those with a window turn by where that is something else. Throws `bad-file` for what
 * contradicts itself, `unsupported` for scalings that this version does not compute.
 */
export function parseRopes(
  raw: RopeFields,
  traits: FamilyTraits,
  headDim: number,
): { rope: Rope; localRope: Rope | null } {
  const { full_attention: full, sliding_attention: sliding } = raw.rope_parameters ?? {};
  if (traits.localTheta === null) {
    if (full || sliding) throw unsupported('rope_parameters', raw.rope_parameters, 'one setting for all layers');
    return { rope: parseRope(raw, traits, headDim), localRope: null };
  }
  const rope = parseRope(full ? { ...raw, rope_parameters: full } : raw, traits, headDim);
  const type = sliding?.rope_type ?? sliding?.type ?? 'default';
  if (type !== 'default') throw unsupported('rope_parameters.sliding_attention.rope_type', type, 'default');
  const theta = sliding?.rope_theta ?? raw.rope_local_base_freq ?? traits.localTheta;
  return { rope, localRope: { theta, dim: rope.dim, scaling: null } };
}

function parseRope(raw: RopeFields, traits: FamilyTraits, headDim: number): Rope {
  const rope = raw.rope_parameters ?? raw.rope_scaling ?? {};
  const key = raw.rope_parameters ? 'rope_parameters' : 'rope_scaling';
  const theta = rope.rope_theta ?? raw.rope_theta ?? traits.theta;
  if (raw.rope_theta && raw.rope_theta !== theta) {
    throw badConfig(`rope_theta is ${raw.rope_theta}, but ${key}.rope_theta is ${theta}`);
  }
  const type = rope.rope_type ?? rope.type ?? 'default';
  const oldType = raw.rope_scaling?.rope_type ?? raw.rope_scaling?.type ?? type;
  if (oldType !== type) throw badConfig(`rope_scaling is of type ${oldType}, but rope_parameters of type ${type}`);
  const dim = rotatedDim(raw, rope, key, traits, headDim);
  return { theta, dim, scaling: parseScaling(raw, rope, key, type, traits, dim) };
}

function rotatedDim(raw: RopeFields, rope: RopeKeys, key: string, traits: FamilyTraits, headDim: number): number {
  const inner = rope.partial_rotary_factor;
  const share = inner ?? raw.partial_rotary_factor ?? 1;
  if (share !== 1 && !traits.partialRotary) {
    throw unsupported(inner ? `${key}.partial_rotary_factor` : 'partial_rotary_factor', share, '1');
  }
  const dim = Math.floor(headDim * share);
  if (dim < 2 || dim % 2 !== 0) throw badConfig(`${dim} of ${headDim} components of a head are turned: no pairs`);
  return dim;
}

function parseScaling(
  raw: RopeFields,
  rope: RopeKeys,
  key: string,
  type: string,
  traits: FamilyTraits,
  dim: number,
): RopeScaling | null {
  if (type === 'default') return null;
  // Phi-3 has called LongRoPE by other names
  if (traits.longRope && ['longrope', 'su', 'yarn'].includes(type)) return parseLongRope(raw, rope, key, dim);
  const required = (name: 'factor' | 'low_freq_factor' | 'high_freq_factor' | 'original_max_position_embeddings') => {
    const value = rope[name];
    if (value === undefined) throw badConfig(`${key} of type ${type} needs ${name}`);
    return value;
  };
  if (type === 'linear' && !traits.longRope) return { kind: 'linear', factor: required('factor') };
  if (type !== 'llama3' || traits.longRope) {
    throw unsupported(`${key}.rope_type`, type, traits.longRope ? 'default, longrope' : 'default, linear, llama3');
  }
  const scaling = {
    kind: 'llama3',
    factor: required('factor'),
    lowFreqFactor: required('low_freq_factor'),
    highFreqFactor: required('high_freq_factor'),
    originalMaxPositions: required('original_max_position_embeddings'),
  } as const;
  if (scaling.lowFreqFactor >= scaling.highFreqFactor) {
    throw badConfig(
      `${key}: low_freq_factor ${scaling.lowFreqFactor} must be below high_freq_factor ${scaling.highFreqFactor}`,
    );
  }
  return scaling;
}

function parseLongRope(raw: RopeFields, rope: RopeKeys, key: string, dim: number): RopeScaling {
  const factorsOf = (name: 'short_factor' | 'long_factor') => {
    const list = rope[name] ?? [];
    if (list.length === dim / 2) return list;
    throw badConfig(`${key}.${name} has ${list.length} numbers for ${dim / 2} frequencies`);
  };
  const originalMaxPositions = raw.original_max_position_embeddings ?? rope.original_max_position_embeddings ?? 4096;
  const scaling = {
    kind: 'longrope',
    shortFactors: factorsOf('short_factor'),
    longFactors: factorsOf('long_factor'),
    originalMaxPositions,
    longMaxPositions: raw.max_position_embeddings,
  } as const;
  const inner = rope.original_max_position_embeddings ?? originalMaxPositions;
  if (inner !== originalMaxPositions) {
    throw badConfig(`original_max_position_embeddings is ${originalMaxPositions}, but in ${key} ${inner}`);
  }
  const ratio = scaling.longMaxPositions / originalMaxPositions;
  if (rope.factor !== undefined && rope.factor !== ratio) throw unsupported(`${key}.factor`, rope.factor, `${ratio}`);
  const expected = longRopeAmplitude(originalMaxPositions, scaling.longMaxPositions);
  if (Math.abs((rope.attention_factor ?? expected) - expected) > 1e-6 * expected) {
    throw unsupported(`${key}.attention_factor`, rope.attention_factor, `${expected}`);
  }
  return scaling;
}

/** What LongRoPE multiplies cosines and sines by (Ding et al., arXiv 2402.13753): sharper scores for longer texts. */
export function longRopeAmplitude(originalMaxPositions: number, longMaxPositions: number): number {
  const ratio = longMaxPositions / originalMaxPositions;
  return ratio <= 1 ? 1 : Math.sqrt(1 + Math.log(ratio) / Math.log(originalMaxPositions));
}

/** The keys of config.json in both spellings: readers before transformers 5 know only the old ones. */
export function ropeJson({ theta, dim, scaling }: Rope, local: Rope | null, headDim: number): Record<string, Json> {
  const stretch = scaling === null ? null : scalingJson(scaling);
  const partial: Record<string, Json> = dim === headDim ? {} : { partial_rotary_factor: dim / headDim };
  const long: Record<string, Json> =
    scaling?.kind !== 'longrope'
      ? {}
      : {
          max_position_embeddings: scaling.longMaxPositions,
          original_max_position_embeddings: scaling.originalMaxPositions,
        };
  const parameters: Record<string, Json> = {
    rope_theta: theta,
    ...partial,
    ...(stretch ?? { rope_type: 'default' }),
  };
  return {
    ...long,
    ...partial,
    rope_theta: theta,
    rope_scaling: stretch,
    ...(local === null
      ? { rope_parameters: parameters }
      : {
          rope_local_base_freq: local.theta,
          rope_parameters: {
            full_attention: parameters,
            sliding_attention: { rope_theta: local.theta, rope_type: 'default' },
          },
        }),
  };
}

function scalingJson(scaling: RopeScaling): Record<string, Json> {
  switch (scaling.kind) {
    case 'linear':
      return { rope_type: 'linear', factor: scaling.factor };
    case 'longrope':
      // by its old key, and with these three keys only: what transformers 4 takes
      return { type: 'longrope', short_factor: scaling.shortFactors, long_factor: scaling.longFactors };
    case 'llama3':
      return {
        rope_type: 'llama3',
        factor: scaling.factor,
        low_freq_factor: scaling.lowFreqFactor,
        high_freq_factor: scaling.highFreqFactor,
        original_max_position_embeddings: scaling.originalMaxPositions,
      };
  }
}
