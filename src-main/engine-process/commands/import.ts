/** `import`: checks a model folder or a GGUF file and copies it into the data folder, so that runs can name it. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { defineCommand } from '../command.ts';
import { type ImportedModel, importModel, nameOfSource } from '../import-model.ts';

export const command = defineCommand({
  payload: z.strictObject({ folder: z.string(), name: z.string().optional() }),
  async run({ folder, name }, context): Promise<ImportedModel> {
    const source = resolve(folder);
    return importModel(source, name ?? nameOfSource(source), context);
  },
});
