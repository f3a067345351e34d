/** A model together with its text: what a run starts from. The bundled starter agents are opened by name. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ParetuneError } from '../../contract/errors.ts';
import type { ModelConfig } from '../model/model-config.ts';
import type { LoraOptions } from '../model/lora.ts';
import { makePolicy, type Policy } from '../runtime/policy.ts';
import { type ChatFormat, makeChatFormat } from '../text/chat-format.ts';
import { STARTER_MARKUP, starterTokenizer } from '../text/starter-tokenizer.ts';
import { makeTokenizer, type Tokenizer } from '../text/tokenizer.ts';
import type { Tool } from '../tools/tool.ts';
import { type ModelFolder, openModelFolder } from '../weights/model-folder.ts';

export type Agent = {
  folder: ModelFolder;
  config: ModelConfig;
  tokenizer: Tokenizer;
  /** true where the folder has no tokenizer, and bytes stand in for one */
  bytesOnly: boolean;
  /** the model's conversations when it may use these tools */
  chatFormat(tools: readonly Tool[]): ChatFormat;
  /** a policy on memory of its own, with a fresh adapter where one is asked for */
  newPolicy(lora: LoraOptions | null, seed: number): Policy;
};

/** The folder of resources that ships with Paretune, beside src-main or dist. */
export const resourcesFolder = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'resources');

export const starterNames = ['over-user', 'under-user'] as const;

/** `starter:over-user` or `starter:under-user` as a folder; any other text is a folder already. */
export function modelFolderOf(model: string): string {
  if (!model.startsWith('starter:')) return model;
  const name = model.slice('starter:'.length);
  if (!(starterNames as readonly string[]).includes(name)) {
    throw new ParetuneError(
      'not-found',
      `There is no starter agent "${name}"; there are ${starterNames.join(' and ')}.`,
      {
        hint: 'Use --model starter:over-user, or the folder of a model.',
      },
    );
  }
  return join(resourcesFolder, 'starter', name);
}

/** Opens and checks a model folder or a starter agent. */
export function openAgent(model: string): Agent {
  const path = modelFolderOf(model);
  if (!existsSync(path)) {
    throw new ParetuneError('not-found', `There is no model folder ${path}.`, {
      hint: 'Give a folder with config.json, model.safetensors and tokenizer.json, or starter:over-user.',
    });
  }
  if (isGguf(path)) {
    throw new ParetuneError('usage', `${path} is a GGUF file: it can be used once it is imported.`, {
      hint: `paretune import ${path}`,
    });
  }
  return agentOf(openModelFolder(path));
}

/** Whether a path names a file that is imported as GGUF. */
export function isGguf(path: string): boolean {
  return /\.gguf$/i.test(path) && (statSync(path, { throwIfNoEntry: false })?.isFile() ?? false);
}

/** A model with its text, from what was read of a folder or a file. Throws `bad-file` or `unsupported`. */
export function agentOf(source: ModelFolder): Agent {
  const folder = withText(source);
  const tokenizer = makeTokenizer(folder.tokenizerJson, folder.tokenizerConfig);
  if (tokenizer.vocabSize > folder.config.vocabSize) {
    throw new ParetuneError(
      'bad-file',
      `The tokenizer has ${tokenizer.vocabSize} tokens, the model ${folder.config.vocabSize}.`,
      { hint: 'Use the tokenizer that belongs to the model.' },
    );
  }
  return {
    folder,
    config: folder.config,
    tokenizer,
    bytesOnly: folder.bytesOnly,
    chatFormat: (tools) =>
      makeChatFormat({
        tokenizer,
        template: folder.chatTemplate,
        tokenizerConfig: folder.tokenizerConfig,
        eosTokenIds: folder.eosTokenIds,
        tools: tools.map((tool) => tool.spec),
        primaryArgument: (name) => tools.find((tool) => tool.spec.name === name)?.primaryArgument ?? 'input',
      }),
    newPolicy: (lora, seed) => makePolicy(folder.config, folder.readWeights(), lora, seed),
  };
}

/** A model without a tokenizer speaks in bytes, with the starter agents' markup: enough to try the machinery on bare weights. */
function withText(folder: ModelFolder): ModelFolder & { bytesOnly: boolean } {
  if (folder.tokenizerJson !== null) return { ...folder, bytesOnly: false };
  const bytes = starterTokenizer([]);
  const { vocabSize } = folder.config;
  if (vocabSize < 256 + STARTER_MARKUP.length) {
    throw new ParetuneError(
      'unsupported',
      `${folder.folder} has no tokenizer.json, and ${vocabSize} tokens are too few for bytes.`,
      {
        hint: 'Put the tokenizer.json of the model into the folder.',
      },
    );
  }
  return { ...folder, ...bytes, chatTemplate: folder.chatTemplate ?? bytes.chatTemplate, bytesOnly: true };
}
