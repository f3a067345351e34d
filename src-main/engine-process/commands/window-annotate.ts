/** `window-annotate`: tags and a note for a run. */
import { z } from 'zod';
import { annotationSchema, writeAnnotation } from '../annotations.ts';
import { defineCommand } from '../command.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: z.strictObject({ run: z.string(), ...annotationSchema.shape }),
  async run({ run, tags, note }, { dataFolder }): Promise<null> {
    const runId = await withStore(dataFolder, 'read', (store) => store.getRun(run).runId);
    writeAnnotation(dataFolder, runId, { tags, note });
    return null;
  },
});
