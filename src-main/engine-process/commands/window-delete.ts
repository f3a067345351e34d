/** `window-delete`: a run is gone for good: its rows, its files, its notes. The way back is before this command, not after. */
import { rmSync } from 'node:fs';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { runFolder } from '../../store/open-store.ts';
import { writeAnnotation } from '../annotations.ts';
import { defineCommand } from '../command.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: z.strictObject({ run: z.string() }),
  async run({ run }, { dataFolder }): Promise<null> {
    return withStore(dataFolder, 'write', (store) => {
      const { runId } = store.getRun(run);
      // the beginning of a name is good enough to look at a run, not to delete it
      if (runId !== run) throw new ParetuneError('not-found', `There is no run ${run}.`);
      store.deleteRun(runId);
      rmSync(runFolder(dataFolder, runId), { recursive: true, force: true });
      writeAnnotation(dataFolder, runId, null);
      return null;
    });
  },
});
