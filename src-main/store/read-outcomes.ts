/**
 * Reading of trajectories only what they came to: graded how, at which price, with which calls. For scoring a long run anew;
 * tokens stay where they are. Whole trajectories are read-trajectories.ts.
 */
import type { ToolCallRecord } from '../contract/records.ts';
import type { Connection } from './database.ts';
import { decodeText, floatCount } from './encoding.ts';
import { findRun } from './read-runs.ts';
import { type Text, toSuccess } from './read-trajectories.ts';
import { checked, toolStatusSchema } from './stored-records.ts';

export type LoggedOutcome = {
  success: boolean | null;
  /** as it was paid */
  cost: number;
  sampledTokens: number;
  calls: Pick<ToolCallRecord, 'name' | 'status'>[];
};

/** The numbers of the steps that count, in order. */
export function stepNumbers(db: Connection, run: string): number[] {
  return db
    .prepare<[number], number>(
      "SELECT step FROM events WHERE run_key = ? AND kind = 'step' AND superseded_by IS NULL ORDER BY step",
    )
    .pluck()
    .all(findRun(db, run).key);
}

/** The trajectories of the steps from `fromStep` to `toStep`, both included, of the attempts that count. */
export function outcomes(db: Connection, run: string, fromStep: number, toStep: number): LoggedOutcome[] {
  const { key, runId } = findRun(db, run);
  const those = `FROM events JOIN groups USING (event_key) JOIN trajectories USING (group_key)
     WHERE events.run_key = ? AND kind = 'step' AND superseded_by IS NULL AND step BETWEEN ? AND ?`;
  type Row = { key: number; success: number | null; cost: number; head: Buffer; bytes: number };
  const rows = db
    .prepare<[number, number, number], Row>(
      `SELECT trajectory_key AS key, success, cost, substr(logprobs, 1, 1) AS head, length(logprobs) AS bytes ${those}`,
    )
    .all(key, fromStep, toStep);
  type Call = { key: number; name: Text; status: string };
  const calls = db
    .prepare<[number, number, number], Call>(
      `SELECT trajectory_key AS key, name, status
       FROM tool_calls WHERE trajectory_key IN (SELECT trajectory_key ${those}) ORDER BY trajectory_key, position`,
    )
    .all(key, fromStep, toStep);
  const byTrajectory = Map.groupBy(calls, (call) => call.key);
  return rows.map((row) =>
    checked(`trajectory ${row.key} of run ${runId}`, () => ({
      success: toSuccess(row.success),
      cost: row.cost,
      sampledTokens: floatCount(row.head, row.bytes),
      calls: (byTrajectory.get(row.key) ?? []).map(({ name, status }) => {
        return { name: decodeText(name), status: toolStatusSchema.parse(status) };
      }),
    })),
  );
}
