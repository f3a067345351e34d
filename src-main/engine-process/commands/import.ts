/** `import`: checks a model folder and copies it into the data folder, so that runs can name it. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { requireFreeBytes } from '../../engine/base/atomic-file.ts';
import { openAgent } from '../../engine/run/agent.ts';
import { weightSpecs } from '../../engine/model/weight-specs.ts';
import { elementCount } from '../../engine/runtime/parameters.ts';
import { importedFolder } from '../agents.ts';
import { defineCommand } from '../command.ts';

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
};

/** What a model folder may hold that we read: nothing else is copied. */
const MODEL_FILES =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map)\.json$|^chat_template\.jinja$|\.safetensors$|\.safetensors\.index\.json$/;

export const command = defineCommand({
  payload: z.strictObject({ folder: z.string(), name: z.string().optional() }),
  async run({ folder, name }, context): Promise<ImportedModel> {
    const source = resolve(folder);
    const agent = openAgent(source);
    const format = agent.chatFormat([]);
    const chosen = name ?? basename(source);
    const target = importedFolder(context.dataFolder, chosen);
    if (existsSync(target)) {
      throw new ParetuneError('usage', `A model was imported as ${chosen} already.`, {
        hint: 'Choose another name with --as.',
      });
    }
    const files = readdirSync(source).filter((file) => MODEL_FILES.test(file));
    const bytes = files.reduce((sum, file) => sum + statSync(join(source, file)).size, 0);
    mkdirSync(dirname(target), { recursive: true });
    requireFreeBytes(dirname(target), bytes, `The model ${chosen}`);
    const partial = `${target}.partial`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial);
    for (const [i, file] of files.entries()) {
      context.progress({ label: 'copying', done: i, total: files.length, note: file });
      if (context.signal.aborted) {
        rmSync(partial, { recursive: true, force: true });
        throw new ParetuneError('interrupted', 'Stopped before all files were copied.');
      }
      await copyFile(join(source, file), join(partial, file));
    }
    context.progress({ label: 'checking the copy', done: 0, total: 0 });
    const weightsHash = agent.folder.weightsHash();
    const copied = openAgent(partial).folder.weightsHash();
    if (copied !== weightsHash) {
      throw new ParetuneError('disk', `The copy in ${partial} differs from ${source}.`, {
        hint: 'Try again; check the disk.',
      });
    }
    renameSync(partial, target);
    return {
      name: `imported:${chosen}`,
      folder: target,
      family: agent.config.family,
      parameters: weightSpecs(agent.config).reduce((sum, spec) => sum + elementCount(spec.shape), 0),
      vocabulary: agent.config.vocabSize,
      contextLength: agent.config.maxPositions,
      toolSyntax: format.syntax,
      weightsHash,
      bytes,
    };
  },
});
