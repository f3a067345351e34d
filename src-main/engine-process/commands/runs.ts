/** `runs`: the list of all runs. */
import { z } from 'zod';
import { existsSync } from 'node:fs';
import { databasePath } from '../../store/open-store.ts';
import type { RunListing } from '../../contract/window-records.ts';
import { defineCommand } from '../command.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: z.strictObject({}),
  async run(_, { dataFolder }): Promise<{ runs: RunListing[]; database: string }> {
    const database = databasePath(dataFolder);
    // no run yet is an empty list, not an error
    if (!existsSync(database)) return { runs: [], database };
    return withStore(dataFolder, 'read', (store) => {
      // a run that nobody writes is not running: it was killed
      const alive = store.writer() !== null;
      const runs = store
        .listRuns()
        .map((run) => (run.status === 'running' && !alive ? { ...run, status: 'stopped' as const } : run));
      return { runs, database };
    });
  },
});
