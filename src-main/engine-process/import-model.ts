/** A model folder or a GGUF file into the library: checked, copied or converted, checked again. Where it came from is the caller's. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ParetuneError } from '../contract/errors.ts';
import { isGguf, openAgent } from '../engine/run/agent.ts';
import { openGgufAgent } from '../engine/run/gguf-agent.ts';
import { safetensorsParts, tensorBytes } from '../engine/weights/safetensors.ts';
import { importedFolder } from './agents.ts';
import type { CommandContext } from './command.ts';
import { factsOf, type ModelFacts } from './describe-model.ts';
import { copyModel, copyOf, type FileToCopy, type HubOrigin } from './model-copy.ts';

export type ImportedModel = ModelFacts & {
  name: string;
  folder: string;
  weightsHash: string;
  bytes: number;
};

/** What a model folder may hold that we read: nothing else is copied. */
const MODEL_FILES =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map)\.json$|^chat_template\.jinja$|\.safetensors$|\.safetensors\.index\.json$/;

/** The folder that a model of this name will have. Throws `usage` for no name, and where there is one already. */
export function freeTarget(dataFolder: string, name: string): string {
  const target = importedFolder(dataFolder, name);
  if (!existsSync(target)) return target;
  throw new ParetuneError('usage', `A model was imported as ${name} already.`, {
    hint: 'Choose another name with --as.',
  });
}

/** The name of a model that is given none: its folder's or file's. */
export const nameOfSource = (path: string) => basename(path).replace(/\.gguf$/i, '');

/** `fetched` says that the source is a download of ours, whose files may be linked, and from where. */
export async function importModel(
  source: string,
  name: string,
  context: Pick<CommandContext, 'dataFolder' | 'progress' | 'signal'>,
  fetched?: HubOrigin,
): Promise<ImportedModel> {
  const target = freeTarget(context.dataFolder, name);
  const { agent, sources, files } = isGguf(source) ? fromGguf(source) : fromFolder(source, fetched !== undefined);
  const facts = factsOf(agent);
  let weightsHash = '';
  const check = (copy: string) => {
    context.progress({ label: 'checking the copy', done: 0, total: 0 });
    weightsHash = openAgent(copy).folder.weightsHash();
  };
  const record = await copyModel({ target, sources, files, hub: fetched, check }, context);
  return {
    name: `imported:${name}`,
    folder: target,
    ...facts,
    weightsHash,
    bytes: record.files.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

type Plan = { agent: ReturnType<typeof openAgent>; sources: string[]; files: FileToCopy[] };

function fromFolder(source: string, mayLink: boolean): Plan {
  const agent = openAgent(source);
  const sources = readdirSync(source)
    .filter((file) => MODEL_FILES.test(file))
    .map((file) => join(source, file));
  return { agent, sources, files: sources.map((path) => ({ ...copyOf(path), ...(mayLink && { mayLink: path }) })) };
}

function fromGguf(source: string): Plan {
  const agent = openGgufAgent(source);
  const texts = [...agent.texts].map(([name, text]) => {
    const bytes = new TextEncoder().encode(text);
    return { name, bytes: bytes.length, parts: () => [bytes] };
  });
  const shards = [...agent.shards].map(([name, tensors]) => ({
    name,
    bytes: [...tensors.values()].reduce((sum, tensor) => sum + tensorBytes(tensor), 0),
    parts: () => safetensorsParts(tensors),
  }));
  return { agent, sources: [source], files: [...texts, ...shards] };
}
