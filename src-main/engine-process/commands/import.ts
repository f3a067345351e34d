/** `import`: checks a model folder or a GGUF file and copies it into the data folder, so that runs can name it. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { isGguf, openAgent } from '../../engine/run/agent.ts';
import { openGgufAgent } from '../../engine/run/gguf-agent.ts';
import { safetensorsParts, tensorBytes } from '../../engine/weights/safetensors.ts';
import { importedFolder } from '../agents.ts';
import { defineCommand } from '../command.ts';
import { factsOf, type ModelFacts } from '../describe-model.ts';
import { copyModel, copyOf, type FileToCopy } from '../model-copy.ts';

export type ImportedModel = ModelFacts & {
  name: string;
  folder: string;
  weightsHash: string;
  bytes: number;
};

/** What a model folder may hold that we read: nothing else is copied. */
const MODEL_FILES =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map)\.json$|^chat_template\.jinja$|\.safetensors$|\.safetensors\.index\.json$/;

export const command = defineCommand({
  payload: z.strictObject({ folder: z.string(), name: z.string().optional() }),
  async run({ folder, name }, context): Promise<ImportedModel> {
    const source = resolve(folder);
    const chosen = name ?? basename(source).replace(/\.gguf$/i, '');
    const target = importedFolder(context.dataFolder, chosen);
    if (existsSync(target)) {
      throw new ParetuneError('usage', `A model was imported as ${chosen} already.`, {
        hint: 'Choose another name with --as.',
      });
    }
    const { agent, sources, files } = isGguf(source) ? fromGguf(source) : fromFolder(source);
    const facts = factsOf(agent);
    let weightsHash = '';
    const check = (copy: string) => {
      context.progress({ label: 'checking the copy', done: 0, total: 0 });
      weightsHash = openAgent(copy).folder.weightsHash();
    };
    const record = await copyModel({ target, sources, files, check }, context);
    return {
      name: `imported:${chosen}`,
      folder: target,
      ...facts,
      weightsHash,
      bytes: record.files.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  },
});

type Plan = { agent: ReturnType<typeof openAgent>; sources: string[]; files: FileToCopy[] };

function fromFolder(source: string): Plan {
  const agent = openAgent(source);
  const sources = readdirSync(source)
    .filter((file) => MODEL_FILES.test(file))
    .map((file) => join(source, file));
  return { agent, sources, files: sources.map(copyOf) };
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
