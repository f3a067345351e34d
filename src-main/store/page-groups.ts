/**
 * Pages of groups: one row for each problem of a step, with what its trajectories came to. By the key of the last row, as
 * page-trajectories.ts. Not here: the trajectories themselves, which that file filters by problem and step.
 */
import type { GroupPage, GroupRow } from '../contract/window-records.ts';
import type { Connection } from './database.ts';
import { decodeText } from './encoding.ts';
import { findRun } from './read-runs.ts';
import type { Text } from './read-trajectories.ts';

/** A page of the groups that count, of one step or of all, newest first. */
export function groups(
  db: Connection,
  run: string,
  { step, after, limit = 50 }: { step?: number; after?: number; limit?: number } = {},
): GroupPage {
  const { key } = findRun(db, run);
  const [from, to] = step === undefined ? [0, Number.MAX_SAFE_INTEGER] : [step, step];
  // as there, the plus keeps SQLite walking the groups in their order where no one step narrows them down
  const rows = db
    .prepare<(string | number)[], Omit<GroupRow, 'prompt'> & { prompt: Text }>(
      `SELECT group_key AS key, step, problem_id AS problemId, task, prompt, count(*) AS size,
         count(*) FILTER (WHERE success = 1) AS right, count(*) FILTER (WHERE success IS NULL) AS ungraded,
         avg(calls) AS calls, avg(cost) AS cost, min(cost) AS cheapest, max(cost) AS dearest
       FROM (SELECT group_key, event_key, problem_key FROM groups
             WHERE ${step === undefined ? '+' : ''}event_key IN
               (SELECT event_key FROM events WHERE run_key = ? AND kind = 'step' AND superseded_by IS NULL
                  AND step BETWEEN ? AND ?)
             ${after === undefined ? '' : 'AND group_key < ?'}
             ORDER BY group_key DESC LIMIT ?)
         JOIN problems USING (problem_key) JOIN events USING (event_key) JOIN trajectories USING (group_key)
       GROUP BY group_key ORDER BY group_key DESC`,
    )
    .all(key, from, to, ...(after === undefined ? [] : [after]), limit + 1);
  const shown = rows.slice(0, limit).map((row) => ({ ...row, prompt: decodeText(row.prompt) }));
  return { rows: shown, next: rows.length > limit ? shown[shown.length - 1].key : null };
}
