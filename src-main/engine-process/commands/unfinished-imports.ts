/** `unfinished-imports`: what imports left behind, after removing one of them where that is asked for. */
import { z } from 'zod';
import { defineCommand } from '../command.ts';
import { removeUnfinished, type UnfinishedImport, unfinishedImports } from '../unfinished-imports.ts';

export const command = defineCommand({
  payload: z.strictObject({ remove: z.string().optional() }),
  async run({ remove }, { dataFolder }): Promise<{ unfinished: UnfinishedImport[] }> {
    if (remove !== undefined) removeUnfinished(dataFolder, remove);
    return { unfinished: unfinishedImports(dataFolder) };
  },
});
