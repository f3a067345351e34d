/** `window-rows`: what is one row a step, an evaluation or a notice of a run. */
import { z } from 'zod';
import type { EvaluationRow, NoticeRow, StepRow } from '../../contract/window-api.ts';
import { defineCommand } from '../command.ts';
import { withStore } from '../with-store.ts';

export type WindowRows = {
  rows: EvaluationRow[] | StepRow[] | NoticeRow[];
  /** of steps and evaluations: what the next page comes after, null on the last */
  next: number | null;
};

export const command = defineCommand({
  payload: z.strictObject({
    run: z.string(),
    kind: z.enum(['evaluations', 'steps', 'notices']),
    superseded: z.boolean().default(false),
    /** steps above this one, evaluations after this key */
    after: z.int().min(0).default(0),
    limit: z.int().min(1).default(1000),
  }),
  async run({ run, kind, superseded, after, limit }, { dataFolder }): Promise<WindowRows> {
    return withStore(dataFolder, 'read', (store) => {
      switch (kind) {
        case 'evaluations':
          return page(store.evaluations(run, { superseded, after, limit: limit + 1 }), limit, ({ key }) => key);
        case 'steps':
          return page(store.steps(run, { after, limit: limit + 1 }), limit, ({ step }) => step);
        case 'notices':
          return { rows: store.notices(run), next: null };
      }
    });
  },
});

/** One row more was read than is given: whether another page follows. */
function page<Row>(rows: Row[], limit: number, keyOf: (row: Row) => number): { rows: Row[]; next: number | null } {
  const shown = rows.slice(0, limit);
  return { rows: shown, next: rows.length > limit ? keyOf(shown[shown.length - 1]) : null };
}
