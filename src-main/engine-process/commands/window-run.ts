/** `window-run`: one run whole, without its rows. */
import { z } from 'zod';
import type { Handle, RunDetail } from '../../contract/window-api.ts';
import { noAnnotation, readAnnotations } from '../annotations.ts';
import { defineCommand } from '../command.ts';
import { summarizeRun } from '../run-summary.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: z.strictObject({ run: z.string() }),
  async run({ run }, { dataFolder }): Promise<RunDetail> {
    return withStore(dataFolder, 'read', (store) => {
      const { runId, config, facts, attempts } = store.getRun(run);
      const { database: _, ...summary } = summarizeRun(store, runId);
      return {
        summary,
        config,
        facts,
        attempts,
        priceChanges: store.priceChanges(runId),
        tools: store.calledTools(runId),
        // paths here; main makes handles of them before they reach the window
        artifacts: store
          .artifacts(runId)
          .map(({ atMs: _at, path, ...artifact }) => ({ ...artifact, path: path as Handle })),
        ...(readAnnotations(dataFolder)[runId] ?? noAnnotation),
      };
    });
  },
});
