/** `window-inspect`: what a model folder holds, before it is imported or named in a run. */
import { z } from 'zod';
import type { ModelRow } from '../../contract/window-api.ts';
import { defineCommand } from '../command.ts';
import { describeModel } from '../describe-model.ts';

export const command = defineCommand({
  payload: z.strictObject({ model: z.string() }),
  run: async ({ model }, { dataFolder }): Promise<ModelRow> => describeModel(dataFolder, model),
});
