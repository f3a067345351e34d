/** `window-runs`: the runs table, with the user's tags and notes. */
import { existsSync } from 'node:fs';
import { z } from 'zod';
import type { CallResult } from '../../contract/window-api.ts';
import { databasePath } from '../../store/open-store.ts';
import { noAnnotation, readAnnotations } from '../annotations.ts';
import { defineCommand } from '../command.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: z.strictObject({}),
  async run(_, { dataFolder }): Promise<CallResult<'runs'>> {
    if (!existsSync(databasePath(dataFolder))) return { runs: [] };
    const annotations = readAnnotations(dataFolder);
    return withStore(dataFolder, 'read', (store) => {
      // a run that nobody writes is not running: it was killed
      const alive = store.writer() !== null;
      const runs = store.listRuns().map((run) => ({
        ...run,
        status: run.status === 'running' && !alive ? ('stopped' as const) : run.status,
        ...(annotations[run.runId] ?? noAnnotation),
      }));
      return { runs };
    });
  },
});
