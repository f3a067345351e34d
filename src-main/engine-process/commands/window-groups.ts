/** `window-groups`: a page of a run's groups, one row a problem and step. */
import type { z } from 'zod';
import { calls, type GroupPage } from '../../contract/window-api.ts';
import { defineCommand } from '../command.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: calls.groups as z.ZodType<z.output<typeof calls.groups>>,
  async run({ run, ...page }, { dataFolder }): Promise<GroupPage> {
    return withStore(dataFolder, 'read', (store) => store.groups(run, page));
  },
});
