/** `resume`: a run goes on from its last whole checkpoint, bit for bit as if it had never stopped. */
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { providerSettings } from '../../contract/providers.ts';
import { withRescue } from '../../contract/rescue.ts';
import { runConfigSchema } from '../../contract/run-config.ts';
import { listCheckpoints } from '../../engine/train/checkpoint.ts';
import { runFolder } from '../../store/open-store.ts';
import { defineCommand } from '../command.ts';
import { driveRun } from '../drive-run.ts';
import { type RunSummary, summarizeRun } from '../run-summary.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: z.strictObject({
    run: z.string(),
    provider: z.enum(providerSettings).optional(),
    /** smaller batches than the run began with, where a GPU failed on those */
    rolloutBatch: runConfigSchema.shape.rolloutBatch.unwrap().optional(),
    microBatchTokens: runConfigSchema.shape.train.unwrap().shape.microBatchTokens.unwrap().optional(),
    /** why it goes on without being asked: kept as a notice of the run */
    after: z.string().max(10_000).optional(),
  }),
  async run({ run, after, ...changes }, context): Promise<RunSummary> {
    return withStore(context.dataFolder, 'write', async (store) => {
      const { runId, config: stored, facts, status } = store.getRun(run);
      const config = withRescue(stored, changes);
      if (status === 'finished') {
        throw new ParetuneError('usage', `Run ${runId} has finished all of its ${config.steps} steps.`, {
          hint: `paretune show ${runId} says what it came to.`,
        });
      }
      const folder = runFolder(context.dataFolder, runId);
      // what the database counts on and what is whole on the disk: the newest that is both
      const whole = new Set(listCheckpoints(folder).map(({ step }) => step));
      const last = store.checkpoints(runId).findLast(({ checkpoint }) => whole.has(checkpoint.step))?.checkpoint;
      if (last === undefined) {
        throw new ParetuneError('not-found', `Run ${runId} has no whole checkpoint in ${folder}.`, {
          hint: 'It ended before its first one was saved. Start a new run with the same settings.',
        });
      }
      const attempt = store.resumeRun(runId, last.step);
      // whoever follows from here on learns what the run is, as a replay of its stored events would tell
      context.emit({ kind: 'started', runId, config, facts });
      await driveRun(
        store,
        runId,
        config,
        { kind: 'resume', folder: join(folder, last.folder), attempt, after },
        context,
      );
      return summarizeRun(store, runId);
    });
  },
});
