/** `tune`: a new run. */
import { z } from 'zod';
import { runConfigSchema } from '../../contract/run-config.ts';
import { defineCommand } from '../command.ts';
import { newRun } from '../drive-run.ts';

export const command = defineCommand({
  payload: z.strictObject({ config: runConfigSchema }),
  run: ({ config }, context) => newRun(config, context),
});
