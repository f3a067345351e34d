/** `window-trajectory`: one trajectory, token by token in text, beside the others of its group. */
import { z } from 'zod';
import type { GroupMember, TrajectoryDetail } from '../../contract/window-api.ts';
import type { Tokenizer } from '../../engine/text/tokenizer.ts';
import type { Store } from '../../store/open-store.ts';
import { openAgentOf } from '../agents.ts';
import { defineCommand } from '../command.ts';
import { withStore } from '../with-store.ts';

/** The tokenizer of the last model: a user opens one trajectory after the other. */
let known: { model: string; tokenizer: Tokenizer | null } | null = null;

export const command = defineCommand({
  payload: z.strictObject({ key: z.int().min(0) }),
  async run({ key }, { dataFolder }): Promise<TrajectoryDetail> {
    return withStore(dataFolder, 'read', (store) => {
      const found = store.trajectory(key);
      const { config } = store.getRun(found.runId);
      const tokenizer = tokenizerOf(dataFolder, config.model);
      return {
        key,
        ...found,
        objectives: config.objectives,
        tokenTexts: tokenizer === null ? null : tokenTexts(tokenizer, found.trajectory.tokens),
        group: groupOf(store, found),
      };
    });
  },
});

function tokenizerOf(dataFolder: string, model: string): Tokenizer | null {
  if (known?.model === model) return known.tokenizer;
  let tokenizer: Tokenizer | null = null;
  try {
    ({ tokenizer } = openAgentOf(dataFolder, model));
  } catch {
    // the folder has moved or is gone: the window shows the texts that were stored
  }
  known = { model, tokenizer };
  return tokenizer;
}

/**
 * The text of each token such that all together are the text of the whole. A character of several tokens is shown whole at
 * its last token, and the others are empty.
 */
export function tokenTexts(tokenizer: Pick<Tokenizer, 'decode'>, tokens: readonly number[]): string[] {
  const texts: string[] = [];
  let open: number[] = [];
  for (const token of tokens) {
    open.push(token);
    const text = tokenizer.decode(open, { skipSpecial: false });
    const cut = text.endsWith('\uFFFD') && open.length < 4;
    texts.push(cut ? '' : text);
    if (!cut) open = [];
  }
  if (open.length > 0) texts[texts.length - 1] = tokenizer.decode(open, { skipSpecial: false });
  return texts;
}

/** The samples of the same problem in the same step and attempt. */
function groupOf(store: Store, found: ReturnType<Store['trajectory']>): GroupMember[] {
  const { runId, step, attempt, superseded, problem } = found;
  const filter = { step, problemId: problem.id, superseded };
  const { rows } = store.trajectories(runId, filter, { limit: 1000, order: 'oldest' });
  return rows
    .filter((row) => row.attempt === attempt)
    .map(({ key, sample, success, cost, calls, paretoRank, advantage, rewards }) => ({
      key,
      sample,
      success,
      cost,
      calls,
      paretoRank,
      advantage,
      rewards,
    }));
}
