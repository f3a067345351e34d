/** `window-preview`: what a task file holds: how many problems, the first of them, or its errors by line. */
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import type { Split } from '../../contract/records.ts';
import type { TaskPreview } from '../../contract/window-api.ts';
import { openTask } from '../../engine/tasks/user-task.ts';
import { defineCommand } from '../command.ts';

const purposes: Record<Split, string> = {
  train: 'problems that a run learns from',
  selection: 'held-out problems that choose the operating point',
  report: 'held-out problems that are reported on',
};
const splitHint =
  'A file needs at least three different questions, and rows for each split: leave `split` out, or name train, selection and report.';

/** More than any file has: a split is asked for as a whole. */
const all = 1_000_000;

export const command = defineCommand({
  payload: z.strictObject({
    file: z.string(),
    corpus: z.string().default(''),
    report: z.string().default(''),
    limit: z.int().min(1).max(50).default(8),
  }),
  async run({ file, corpus, report, limit }): Promise<TaskPreview> {
    try {
      const task = await openTask(file, { ...(corpus && { corpus }), ...(report && { report }) });
      const count = (split: Split) => task.problems(split, all, 0).length;
      const counts = { train: count('train'), selection: count('selection'), report: count('report') };
      const empty = (Object.keys(counts) as Split[]).filter((split) => counts[split] === 0);
      return {
        name: task.name,
        tools: task.tools,
        hasCorpus: task.corpus !== null,
        counts,
        repeats: task.repeats ?? 0,
        problems: task.problems('train', limit, 0),
        errors: empty.map((split) => `no row is left for the split ${split} (${purposes[split]})`),
        hint: empty.length > 0 ? splitHint : '',
      };
    } catch (error) {
      // rows that cannot be used are what the preview is for; a file that is none is an error
      if (!(error instanceof ParetuneError) || error.code !== 'bad-data') throw error;
      const errors = error.message.split('\n').map((line) => line.trim());
      const none = { train: 0, selection: 0, report: 0 };
      return {
        name: '',
        tools: [],
        hasCorpus: false,
        counts: none,
        repeats: 0,
        problems: [],
        errors: errors.length > 1 ? errors.slice(1) : errors,
        hint: error.hint,
      };
    }
  },
});
