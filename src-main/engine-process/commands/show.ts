/** `show`: one run with its points, its last warnings and what was exported from it. */
import { z } from 'zod';
import { runFolder } from '../../store/open-store.ts';
import type { NoticeRow } from '../../contract/window-records.ts';
import type { Artifact } from '../../store/read-rows.ts';
import { defineCommand } from '../command.ts';
import { type RunSummary, summarizeRun } from '../run-summary.ts';
import { withStore } from '../with-store.ts';

export type ShownRun = RunSummary & {
  folder: string;
  warnings: Pick<NoticeRow, 'step' | 'code' | 'message'>[];
  artifacts: Artifact[];
};

export const command = defineCommand({
  payload: z.strictObject({ run: z.string() }),
  async run({ run }, { dataFolder }): Promise<ShownRun> {
    return withStore(dataFolder, 'read', (store) => {
      const summary = summarizeRun(store, run);
      const warnings = store.notices(summary.runId).filter(({ level }) => level === 'warning');
      return {
        ...summary,
        folder: runFolder(dataFolder, summary.runId),
        warnings: warnings.slice(-5).map(({ step, code, message }) => ({ step, code, message })),
        artifacts: store.artifacts(summary.runId).map(({ atMs: _, ...artifact }) => artifact),
      };
    });
  },
});
