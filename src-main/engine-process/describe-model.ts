/** A model in one row: what it is, how large, and whether it can be opened. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { toErrorRecord } from '../contract/errors.ts';
import type { ModelRow } from '../contract/window-api.ts';
import { weightSpecs } from '../engine/model/weight-specs.ts';
import { type Agent, isGguf, modelFolderOf } from '../engine/run/agent.ts';
import { openGgufAgent } from '../engine/run/gguf-agent.ts';
import { elementCount } from '../engine/runtime/parameters.ts';
import { tensorBytes } from '../engine/weights/safetensors.ts';
import { importedFolder, openAgentOf } from './agents.ts';
import { adapterMemory } from './memory-estimate.ts';

const noTokenizer =
  'There is no tokenizer.json: the model would read and write bytes, with the markup of the starter agents. ' +
  'Put the tokenizer.json that belongs to the model into the folder, and choose it again.';
const noTokenizerInFile =
  'There is no tokenizer in the file: the model would read and write bytes, with the markup of the starter agents. ' +
  'Choose a GGUF file of the model that has one.';

/** What a user wants to know of an agent before anything is loaded. */
export type ModelFacts = {
  family: string;
  parameters: number;
  vocabulary: number;
  contextLength: number;
  toolSyntax: string;
  /** what tuning an adapter with the default settings takes */
  memory: ReturnType<typeof adapterMemory>;
};

export function factsOf({ config, chatFormat }: Pick<Agent, 'config' | 'chatFormat'>): ModelFacts {
  return {
    family: config.family,
    parameters: weightSpecs(config).reduce((sum, { shape }) => sum + elementCount(shape), 0),
    vocabulary: config.vocabSize,
    contextLength: config.maxPositions,
    toolSyntax: chatFormat([]).syntax,
    memory: adapterMemory(config),
  };
}

/** `model` as a run configuration names it, or a GGUF file. Never throws: `problem` says why a model cannot be used. */
export function describeModel(dataFolder: string, model: string): ModelRow {
  const origin = model.startsWith('starter:')
    ? 'bundled'
    : model.startsWith('imported:')
      ? 'imported'
      : isGguf(model)
        ? 'file'
        : 'folder';
  const unknown = { family: '', parameters: 0, vocabulary: 0, contextLength: 0, toolSyntax: '', bytes: 0 };
  try {
    const gguf = origin === 'file' ? openGgufAgent(model) : null;
    const agent = gguf ?? openAgentOf(dataFolder, model);
    const folder =
      origin === 'imported' ? importedFolder(dataFolder, model.slice('imported:'.length)) : modelFolderOf(model);
    const files = gguf ? [model] : readdirSync(folder).map((file) => join(folder, file));
    const bytes = files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
    const tensors = [...(gguf?.shards.values() ?? [])].flatMap((shard) => [...shard.values()]);
    return {
      name: model,
      origin,
      ...factsOf(agent),
      bytes,
      importedBytes: gguf ? tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0) : bytes,
      problem: '',
      notes: agent.bytesOnly ? [gguf ? noTokenizerInFile : noTokenizer] : [],
    };
  } catch (error) {
    const { message, hint } = toErrorRecord(error);
    const problem = `${message} ${hint}`.trim();
    return { name: model, origin, ...unknown, importedBytes: 0, memory: null, problem, notes: [] };
  }
}
