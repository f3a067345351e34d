/** `export`: a checkpoint of a run as an ONNX folder. */
import { z } from 'zod';
import { exportTargets } from '../../engine/run/export-model.ts';
import { exportVariants } from '../../engine/run/export-variants.ts';
import { defineCommand } from '../command.ts';
import { exportRun } from '../export-run.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: z.strictObject({
    run: z.string(),
    checkpoint: z.string().default('best'),
    to: z.string(),
    target: z.enum(exportTargets).default('all'),
    variants: z.array(z.enum(exportVariants)).min(1).default(['fp32']),
    problems: z.int().min(1).max(100_000).default(500),
  }),
  run: (request, context) => withStore(context.dataFolder, 'write', (store) => exportRun(store, request, context)),
});
