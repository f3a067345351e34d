/** `window-rows`: what is one row a step, an evaluation, a checkpoint or a notice of a run. */
import { z } from 'zod';
import type { CheckpointRow, EvaluationRow, NoticeRow, StepRow } from '../../contract/window-api.ts';
import { defineCommand } from '../command.ts';
import { withStore } from '../with-store.ts';

export type WindowRows = { rows: EvaluationRow[] | StepRow[] | CheckpointRow[] | NoticeRow[] };

export const command = defineCommand({
  payload: z.strictObject({
    run: z.string(),
    kind: z.enum(['evaluations', 'steps', 'checkpoints', 'notices']),
    superseded: z.boolean().default(false),
    /** steps above this one only */
    after: z.int().min(0).default(0),
  }),
  async run({ run, kind, superseded, after }, { dataFolder }): Promise<WindowRows> {
    return withStore(dataFolder, 'read', (store) => {
      switch (kind) {
        case 'evaluations':
          return { rows: store.evaluations(run, { superseded }) };
        case 'steps':
          return { rows: store.steps(run).filter(({ step }) => step > after) };
        case 'checkpoints':
          return { rows: store.checkpoints(run) };
        case 'notices':
          return { rows: store.notices(run) };
      }
    });
  },
});
