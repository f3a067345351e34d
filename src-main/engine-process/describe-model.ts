/** A model in one row: what it is, how large, and whether it can be opened. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { toErrorRecord } from '../contract/errors.ts';
import type { ModelRow } from '../contract/window-api.ts';
import { weightSpecs } from '../engine/model/weight-specs.ts';
import { modelFolderOf } from '../engine/run/agent.ts';
import { elementCount } from '../engine/runtime/parameters.ts';
import { importedFolder, openAgentOf } from './agents.ts';

const noTokenizer =
  'There is no tokenizer.json: the model would read and write bytes, with the markup of the starter agents. ' +
  'Put the tokenizer.json that belongs to the model into the folder, and choose it again.';

/** `model` as a run configuration names it. Never throws: `problem` says why a model cannot be used. */
export function describeModel(dataFolder: string, model: string): ModelRow {
  const origin = model.startsWith('starter:') ? 'bundled' : model.startsWith('imported:') ? 'imported' : 'folder';
  const unknown = { family: '', parameters: 0, vocabulary: 0, contextLength: 0, toolSyntax: '', bytes: 0 };
  try {
    const { config, chatFormat, bytesOnly } = openAgentOf(dataFolder, model);
    const folder =
      origin === 'imported' ? importedFolder(dataFolder, model.slice('imported:'.length)) : modelFolderOf(model);
    return {
      name: model,
      origin,
      family: config.family,
      parameters: weightSpecs(config).reduce((sum, { shape }) => sum + elementCount(shape), 0),
      vocabulary: config.vocabSize,
      contextLength: config.maxPositions,
      toolSyntax: chatFormat([]).syntax,
      bytes: readdirSync(folder).reduce((sum, file) => sum + lstatSync(join(folder, file)).size, 0),
      problem: '',
      notes: bytesOnly ? [noTokenizer] : [],
    };
  } catch (error) {
    const { message, hint } = toErrorRecord(error);
    return { name: model, origin, ...unknown, problem: `${message} ${hint}`.trim(), notes: [] };
  }
}
