/** `window-models`: the bundled agents and what was imported. A model that cannot be opened is listed with the reason. */
import { z } from 'zod';
import type { ModelRow } from '../../contract/window-api.ts';
import { modelNames } from '../agents.ts';
import { defineCommand } from '../command.ts';
import { describeModel } from '../describe-model.ts';

export const command = defineCommand({
  payload: z.strictObject({}),
  async run(_, { dataFolder }): Promise<{ models: ModelRow[] }> {
    return { models: modelNames(dataFolder).map((name) => describeModel(dataFolder, name)) };
  },
});
