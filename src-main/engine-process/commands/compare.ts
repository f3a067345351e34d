/** `compare`: several runs side by side, on one definition of hypervolume only. */
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { defineCommand } from '../command.ts';
import { type RunSummary, summarizeRun } from '../run-summary.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: z.strictObject({ runs: z.array(z.string()).min(2) }),
  async run({ runs }, { dataFolder }): Promise<{ runs: RunSummary[] }> {
    return withStore(dataFolder, 'read', (store) => {
      const summaries = runs.map((run) => summarizeRun(store, run));
      const axes = ({ tasks, costLimit, prices }: RunSummary) =>
        JSON.stringify([tasks, costLimit, Object.entries(prices).sort()]);
      const other = summaries.find((summary) => axes(summary) !== axes(summaries[0]));
      if (other === undefined) return { runs: summaries };
      throw new ParetuneError(
        'usage',
        `${summaries[0].runId} and ${other.runId} have other axes: ${words(summaries[0])} against ${words(other)}.`,
        { hint: 'Only runs with the same tasks, prices and cost limit can be compared; set costLimit to make it so.' },
      );
    });
  },
});

function words({ tasks, costLimit, prices }: RunSummary): string {
  const list = Object.entries(prices).map(([tool, price]) => `${tool}=${price}`);
  return `${tasks.join('+')}, cost limit ${costLimit}, prices ${list.join(', ') || 'all 1'}`;
}
