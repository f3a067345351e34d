/** `resume`: goes on with a run from its last checkpoint, or from another one of its checkpoints. */
import { z } from 'zod';
import { defineCommand } from '../command.ts';
import { resumeRun } from '../drive-run.ts';

export const command = defineCommand({
  payload: z.strictObject({
    run: z.string(),
    /** step of the checkpoint to go on from; the last one if absent */
    from: z.int().min(0).optional(),
    /** a new total of steps */
    steps: z.int().min(1).optional(),
  }),
  run: ({ run, ...options }, context) => resumeRun(run, options, context),
});
