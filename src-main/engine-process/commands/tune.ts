/** `tune`: a new run, from its settings to its summary. */
import { basename, extname } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { type RunConfig, runConfigSchema } from '../../contract/run-config.ts';
import { makeMethod } from '../../engine/advantage/methods.ts';
import type { Store } from '../../store/open-store.ts';
import { defineCommand } from '../command.ts';
import { driveRun } from '../drive-run.ts';
import { withOwnTools } from '../own-tools.ts';
import { type RunSummary, summarizeRun } from '../run-summary.ts';
import { withStore } from '../with-store.ts';

/** A run's name is also a folder's. */
const runName = z
  .string()
  .regex(/^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u, 'at most 64 letters, digits, dots, dashes and underscores');

export const command = defineCommand({
  payload: z.strictObject({ config: runConfigSchema, name: runName.optional() }),
  async run({ config: asked, name }, context): Promise<RunSummary> {
    const config = withOwnTools(asked, context.dataFolder);
    makeMethod(config); // refuses settings that the method would not read, before anything is opened
    return withStore(context.dataFolder, 'write', async (store) => {
      const runId = name ?? freeName(store, config);
      if (store.listRuns().some((run) => run.runId === runId)) {
        throw new ParetuneError('usage', `There is a run ${runId} already.`, {
          hint: `Choose another --name, or go on with it: paretune resume ${runId}`,
        });
      }
      await driveRun(store, runId, config, { kind: 'new' }, context);
      return summarizeRun(store, runId);
    });
  },
});

/** `arithmetic-3`: the first task, and the first number that is free. */
function freeName(store: Store, { tasks }: RunConfig): string {
  const stem =
    basename(tasks[0], extname(tasks[0]))
      .replace(/[^\p{L}\p{N}._-]+/gu, '-')
      .slice(0, 40) || 'run';
  const taken = new Set(store.listRuns().map(({ runId }) => runId));
  for (let number = 1; ; number++) if (!taken.has(`${stem}-${number}`)) return `${stem}-${number}`;
}
