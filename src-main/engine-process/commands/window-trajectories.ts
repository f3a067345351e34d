/** `window-trajectories`: a page of a run's trajectories. */
import type { z } from 'zod';
import { calls, type TrajectoryPage } from '../../contract/window-api.ts';
import { defineCommand } from '../command.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: calls.trajectories as z.ZodType<z.output<typeof calls.trajectories>>,
  async run({ run, filter, ...page }, { dataFolder }): Promise<TrajectoryPage> {
    return withStore(dataFolder, 'read', (store) => store.trajectories(run, filter, page));
  },
});
