/**
 * A Hugging Face model folder, checked as a whole before any weight is read: config.json, weights in one file or in the
 * shards of an index, tokenizer, chat template, generation settings. It does not interpret tokenizer or template, and
 * does not build graphs.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { type ModelConfig, parseModelConfig } from '../model/model-config.ts';
import { weightSpecs } from '../model/weight-specs.ts';
import { checkShapes } from './check-shapes.ts';
import { fileInFolder, readJson, readText, someNames } from './folder-files.ts';
import { type FloatTensor, openSafetensors, readFloatTensor, type SafetensorsFile } from './safetensors.ts';

export type ModelFolder = {
  folder: string;
  config: ModelConfig;
  /** parsed tokenizer.json, null where the folder has none (a model without text) */
  tokenizerJson: unknown;
  /** parsed tokenizer_config.json, an empty object where the folder has none */
  tokenizerConfig: Record<string, unknown>;
  /** Jinja source; a chat_template.jinja goes before the one in tokenizer_config.json */
  chatTemplate: string | null;
  generationConfig: Record<string, unknown>;
  /** where generation stops: generation_config.json's ids, else config.json's */
  eosTokenIds: number[];
  /** Every weight of `weightSpecs(config)` under its name, as float32. Takes 4 bytes a parameter. */
  readWeights(): Map<string, FloatTensor>;
  /** `hashWeights` of the weights, reading one tensor at a time. */
  weightsHash(): string;
};

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });
const namedTemplates = z.array(z.looseObject({ name: z.string(), template: z.string() }));
const tokenIds = z.union([z.int().min(0), z.array(z.int().min(0))]);

/** Buffers that old Llama checkpoints saved beside the weights; they follow from the config. */
const DERIVED = /\.rotary_emb\.inv_freq$/;

/**
 * Opens a model folder and checks that it is complete. Throws `not-found`, `bad-file` (damaged, missing, misshaped or
 * unknown tensors: up to five names each) or `unsupported` (an architecture or number format we do not have).
 */
export function openModelFolder(folder: string): ModelFolder {
  if (!existsSync(folder)) throw new ParetuneError('not-found', `There is no folder ${folder}.`);
  const configJson = readJson(folder, 'config.json');
  if (configJson === null) {
    throw new ParetuneError('not-found', `${folder} has no config.json, so it is not a model folder.`, {
      hint: 'Give the folder that holds config.json and model.safetensors, or a .gguf file.',
    });
  }
  const config = parseModelConfig(configJson);
  const places = locateTensors(folder);
  checkTensors(folder, config, places);
  const tokenizerConfig = readRecord(folder, 'tokenizer_config.json');
  const generationConfig = readRecord(folder, 'generation_config.json');
  const generationEos = tokenIds.safeParse(generationConfig.eos_token_id);
  const eosTokenIds = generationEos.success ? [generationEos.data].flat() : config.eosTokenIds;

  const readOne = (name: string) => readFloatTensor(places.get(name)!, name);
  return {
    folder,
    config,
    tokenizerJson: readJson(folder, 'tokenizer.json'),
    tokenizerConfig,
    chatTemplate: readText(folder, 'chat_template.jinja') ?? templateOf(folder, tokenizerConfig.chat_template),
    generationConfig,
    eosTokenIds: eosTokenIds.filter((id) => id < config.vocabSize),
    readWeights() {
      const weights = new Map(weightSpecs(config).map(({ name }) => [name, readOne(name)]));
      if (config.tiedEmbeddings && places.has('lm_head.weight')) checkTie(folder, weights, readOne('lm_head.weight'));
      return weights;
    },
    weightsHash: () =>
      hashTensors(
        weightSpecs(config).map(({ name }) => name),
        readOne,
      ),
  };
}

/** Which file holds each tensor. */
function locateTensors(folder: string): Map<string, SafetensorsFile> {
  const single = fileInFolder(folder, 'model.safetensors');
  if (single !== null) {
    const file = openSafetensors(single);
    return new Map([...file.tensors.keys()].map((name) => [name, file]));
  }
  const indexJson = readJson(folder, 'model.safetensors.index.json');
  if (indexJson === null) {
    throw new ParetuneError('not-found', `${folder} has neither model.safetensors nor model.safetensors.index.json.`, {
      hint: 'Convert other weight formats (.bin) to safetensors first; a .gguf file is imported as it is.',
    });
  }
  const index = indexSchema.safeParse(indexJson);
  if (!index.success) {
    throw new ParetuneError('bad-file', `${join(folder, 'model.safetensors.index.json')} has no weight_map of names.`);
  }
  const files = new Map<string, SafetensorsFile>();
  const places = new Map<string, SafetensorsFile>();
  for (const [name, fileName] of Object.entries(index.data.weight_map)) {
    let file = files.get(fileName);
    if (file === undefined) {
      const path = fileInFolder(folder, fileName);
      if (path === null) throw new ParetuneError('not-found', `The shard ${fileName} is missing in ${folder}.`);
      file = openSafetensors(path);
      files.set(fileName, file);
    }
    if (!file.tensors.has(name)) {
      throw new ParetuneError('bad-file', `${file.path} has no tensor ${name}, which the index says it holds.`);
    }
    places.set(name, file);
  }
  return places;
}

function checkTensors(folder: string, config: ModelConfig, places: Map<string, SafetensorsFile>): void {
  const entries = [...places]
    .filter(([name]) => !DERIVED.test(name))
    .map(([name, file]) => [name, file.tensors.get(name)!] as const);
  checkShapes(folder, 'config.json', config, new Map(entries.map(([name, { shape }]) => [name, shape])));
  const otherType = entries.filter(([, { type }]) => type !== 'F32' && type !== 'F16' && type !== 'BF16');
  if (otherType.length > 0) {
    const described = someNames(otherType.map(([name, { type }]) => `${name} ${type}`));
    throw new ParetuneError('unsupported', `${folder}: supported are F32, F16 and BF16, not ${described}.`, {
      hint: 'Use the unquantized weights of the model.',
    });
  }
}

function checkTie(folder: string, weights: Map<string, FloatTensor>, head: FloatTensor): void {
  const embedding = weights.get('model.embed_tokens.weight')!;
  if (embedding.data.every((value, i) => Object.is(value, head.data[i]))) return;
  throw new ParetuneError(
    'bad-file',
    `${folder} ties its head to the embedding, but holds an lm_head.weight of its own.`,
    {
      hint: 'Set tie_word_embeddings to false in config.json, or remove lm_head.weight.',
    },
  );
}

/** SHA-256 over names, shapes and float32 values, in the order of names: equal for the same model in any file format. */
export function hashWeights(weights: ReadonlyMap<string, FloatTensor>): string {
  return hashTensors([...weights.keys()], (name) => weights.get(name)!);
}

/** `hashWeights` of these weights, of which one is held at a time. */
export function hashTensors(names: readonly string[], read: (name: string) => FloatTensor): string {
  const hash = createHash('sha256');
  for (const name of names.toSorted()) {
    const { shape, data } = read(name);
    hash.update(`${name}\0${shape.join(',')}\0`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

function readRecord(folder: string, name: string): Record<string, unknown> {
  const record = z.record(z.string(), z.unknown()).safeParse(readJson(folder, name) ?? {});
  if (!record.success) throw new ParetuneError('bad-file', `${join(folder, name)} is not a JSON object.`);
  return record.data;
}

/** A template is a string, or a list of named ones: the one for tools is preferred, as transformers does. */
function templateOf(folder: string, value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return value;
  const list = namedTemplates.safeParse(value);
  const find = (name: string) => list.data?.find((entry) => entry.name === name)?.template;
  const template = find('tool_use') ?? find('default');
  if (template !== undefined) return template;
  throw new ParetuneError(
    'bad-file',
    `${join(folder, 'tokenizer_config.json')}: chat_template is neither text nor a list with one named default.`,
  );
}
