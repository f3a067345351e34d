/** `import`: checks a model folder or a GGUF file and copies it into the data folder, so that runs can name it. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import type { Estimate } from '../../contract/window-api.ts';
import { isGguf, openAgent } from '../../engine/run/agent.ts';
import { openGgufAgent } from '../../engine/run/gguf-agent.ts';
import { weightSpecs } from '../../engine/model/weight-specs.ts';
import { elementCount } from '../../engine/runtime/parameters.ts';
import { safetensorsParts, tensorBytes } from '../../engine/weights/safetensors.ts';
import { importedFolder } from '../agents.ts';
import { defineCommand } from '../command.ts';
import { adapterMemory } from '../memory-estimate.ts';
import { copyModel, copyOf, type FileToCopy } from '../model-copy.ts';

export type ImportedModel = {
  name: string;
  folder: string;
  family: string;
  parameters: number;
  vocabulary: number;
  contextLength: number;
  toolSyntax: string;
  weightsHash: string;
  bytes: number;
  /** what tuning an adapter with the default settings takes */
  memory: Pick<Estimate['memory'], 'needed' | 'available' | 'verdict'>;
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
    const { syntax } = agent.chatFormat([]);
    let weightsHash = '';
    const check = (copy: string) => {
      context.progress({ label: 'checking the copy', done: 0, total: 0 });
      weightsHash = openAgent(copy).folder.weightsHash();
    };
    const record = await copyModel({ target, sources, files, check }, context);
    const { needed, available, verdict } = adapterMemory(agent.config);
    return {
      name: `imported:${chosen}`,
      folder: target,
      family: agent.config.family,
      parameters: weightSpecs(agent.config).reduce((sum, spec) => sum + elementCount(spec.shape), 0),
      vocabulary: agent.config.vocabSize,
      contextLength: agent.config.maxPositions,
      toolSyntax: syntax,
      weightsHash,
      bytes: record.files.reduce((sum, { bytes }) => sum + bytes, 0),
      memory: { needed, available, verdict },
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
