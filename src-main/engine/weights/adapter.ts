/**
 * LoRA adapters in PEFT's two files, adapter_config.json and adapter_model.safetensors. The tensors are A [rank, in] and
 * B [out, rank] of y = Wx + (alpha / rank) B(Ax); PEFT's prefix `base_model.model.` is added and removed here.
 * Source: PEFT 0.21's LoraConfig and the adapters in the golden models.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { writeFileAtomic } from '../base/atomic-file.ts';
import type { ModelConfig } from '../model/model-config.ts';
import { weightSpecs } from '../model/weight-specs.ts';
import { fileInFolder, readJson, someNames } from './folder-files.ts';
import { type FloatTensor, openSafetensors, readFloatTensor, writeSafetensors } from './safetensors.ts';

export type Adapter = {
  rank: number;
  alpha: number;
  /** e.g. `q_proj`, sorted: the last part of the names of the matrices it changes */
  targets: string[];
  /** two a matrix: `model.layers.0.self_attn.q_proj.lora_A.weight` [rank, in] and `...lora_B.weight` [out, rank] */
  tensors: Map<string, FloatTensor>;
};

const PREFIX = 'base_model.model.';

const schema = z.looseObject({
  peft_type: z.string(),
  r: z.int().min(1).max(65_536),
  lora_alpha: z.number().min(0),
});

/** Settings that change what an adapter computes, with the values at which they do nothing (`null` and absent are always fine). */
const NEUTRAL: Record<string, string[]> = {
  peft_type: ['"LORA"'],
  bias: ['"none"'],
  alpha_pattern: ['{}'],
  rank_pattern: ['{}'],
  modules_to_save: ['[]'],
  fan_in_fan_out: ['false'],
  layer_replication: [],
  lora_bias: ['false'],
  target_parameters: ['[]'],
  trainable_token_indices: [],
  alora_invocation_tokens: [],
  use_dora: ['false'],
  use_qalora: ['false'],
  use_rslora: ['false'],
  use_bdlora: ['false'],
};

/** Reads an adapter and checks it against the model it is for. Throws `not-found`, `bad-file` or `unsupported`. */
export function readAdapter(folder: string, config: ModelConfig): Adapter {
  const json = readJson(folder, 'adapter_config.json');
  const path = existsSync(folder) ? fileInFolder(folder, 'adapter_model.safetensors') : null;
  if (json === null || path === null) {
    throw new ParetuneError('not-found', `${folder} has no adapter_config.json with an adapter_model.safetensors.`);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const { path: place, message } = parsed.error.issues[0];
    throw new ParetuneError('bad-file', `${join(folder, 'adapter_config.json')}: ${place.join('.')}: ${message}.`);
  }
  for (const [key, neutral] of Object.entries(NEUTRAL)) {
    const value = JSON.stringify(parsed.data[key] ?? null);
    if (value === 'null' || neutral.includes(value)) continue;
    throw new ParetuneError(
      'unsupported',
      `${join(folder, 'adapter_config.json')}: ${key} is ${value}; supported is ${neutral[0] ?? 'null'}.`,
      {
        hint: 'Merge the adapter into its model with PEFT, and open the merged model.',
      },
    );
  }
  const rank = parsed.data.r;
  const file = openSafetensors(path);
  const expected = loraShapes(config, rank);
  const names = [...file.tensors.keys()];
  const fail = (what: string, list: string[]): never => {
    throw new ParetuneError('bad-file', `${path} does not fit the model: ${what} ${someNames(list)}.`, {
      hint: 'Use the adapter with the model it was trained on.',
    });
  };
  const inModel = (name: string) => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : '');
  const unknown = names.filter((name) => !expected.has(inModel(name)));
  if (names.length === 0) fail('it holds', ['no tensors']);
  if (unknown.length > 0) fail('unknown are', unknown);
  const partner = (name: string) =>
    name.includes('.lora_A.') ? name.replace('.lora_A.', '.lora_B.') : name.replace('.lora_B.', '.lora_A.');
  const alone = names.filter((name) => !file.tensors.has(partner(name)));
  if (alone.length > 0) fail('without their other half are', alone);
  const misshaped = names.filter(
    (name) => String(file.tensors.get(name)!.shape) !== String(expected.get(inModel(name))),
  );
  if (misshaped.length > 0) {
    fail(
      'misshaped are',
      misshaped.map((name) => `${name} [${file.tensors.get(name)!.shape}] instead of [${expected.get(inModel(name))}]`),
    );
  }
  const tensors = new Map(names.map((name) => [inModel(name), readFloatTensor(file, name)]));
  return { rank, alpha: parsed.data.lora_alpha, targets: targetsOf(tensors), tensors };
}

/** Writes the two files that PEFT's `from_pretrained` loads; `base` is what it shows as the base model. Throws `disk`. */
export function writeAdapter(folder: string, adapter: Adapter, base: string): void {
  mkdirSync(folder, { recursive: true });
  const json = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base,
    r: adapter.rank,
    lora_alpha: adapter.alpha,
    lora_dropout: 0,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    modules_to_save: null,
    target_modules: targetsOf(adapter.tensors),
    use_dora: false,
    use_rslora: false,
  };
  writeFileAtomic(join(folder, 'adapter_config.json'), `${JSON.stringify(json, null, 2)}\n`);
  const tensors = new Map([...adapter.tensors].map(([name, tensor]) => [PREFIX + name, tensor]));
  writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors);
}

/** Every A and B an adapter of this rank may have, by name without PEFT's prefix. */
function loraShapes(config: ModelConfig, rank: number): Map<string, number[]> {
  const shapes = new Map<string, number[]>();
  for (const { name, shape, role } of weightSpecs(config)) {
    if (role !== 'linear') continue;
    const path = name.slice(0, -'.weight'.length);
    shapes.set(`${path}.lora_A.weight`, [rank, shape[1]]);
    shapes.set(`${path}.lora_B.weight`, [shape[0], rank]);
  }
  return shapes;
}

function targetsOf(tensors: ReadonlyMap<string, FloatTensor>): string[] {
  return [...new Set([...tensors.keys()].map((name) => name.split('.').at(-3)!))].sort();
}
