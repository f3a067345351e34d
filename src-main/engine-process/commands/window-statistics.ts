/** `window-statistics`: what the trajectories of a run add up to. */
import { z } from 'zod';
import type { RunStatistics } from '../../contract/window-api.ts';
import { defineCommand } from '../command.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: z.strictObject({ run: z.string() }),
  async run({ run }, { dataFolder }): Promise<RunStatistics> {
    return withStore(dataFolder, 'read', (store) => store.statistics(run));
  },
});
