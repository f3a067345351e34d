/**
 * Reading trajectories whole: a step as the groups it was trained on, and one trajectory with its problem. Lists of short
 * rows are page-trajectories.ts.
 */
import { ParetuneError } from '../contract/errors.ts';
import type { Group, Problem, ScoredTrajectory, ToolCallRecord } from '../contract/records.ts';
import type { Connection } from './database.ts';
import { decodeFloats, decodeIntegers, decodeSegments, decodeText } from './encoding.ts';
import { findRun } from './read-runs.ts';
import {
  argumentsSchema,
  checked,
  problemSchema,
  readJson,
  stopReasonSchema,
  toolStatusSchema,
} from './stored-records.ts';

export type StoredTrajectory = {
  runId: string;
  step: number;
  attempt: number;
  superseded: boolean;
  problem: Problem;
  trajectory: ScoredTrajectory;
};

/** A column of encodeText. */
export type Text = string | Buffer;
type FullRow = {
  key: number;
  groupKey: number;
  sample: number;
  success: number | null;
  cost: number;
  paretoRank: number;
  stopReason: string;
  weightsVersion: number;
  answer: Text;
  scores: Buffer;
  segments: Buffer;
  tokens: Buffer;
  logprobs: Buffer;
};
type CallRow = {
  trajectoryKey: number;
  name: Text;
  arguments: string;
  output: Text;
  status: string;
  price: number;
  milliseconds: number;
  resultStart: number;
};

const fullColumns = `trajectory_key AS key, group_key AS groupKey, sample, success, cost, pareto_rank AS paretoRank,
  stop_reason AS stopReason, weights_version AS weightsVersion, answer, scores, segments, tokens, logprobs`;
const callColumns = `trajectory_key AS trajectoryKey, name, arguments, output, status, price, milliseconds,
  result_start AS resultStart`;

/** The groups of a step exactly as they were trained on; of the attempt that counts, or of another. Error: `not-found`. */
export function readStep(db: Connection, run: string, step: number, attempt?: number): Group[] {
  const { key, runId } = findRun(db, run);
  const event = db
    .prepare<[number, number, number | null, number | null], number>(
      `SELECT event_key FROM events WHERE run_key = ? AND kind = 'step' AND step = ?
       AND (attempt = ? OR (? IS NULL AND superseded_by IS NULL))`,
    )
    .pluck()
    .get(key, step, attempt ?? null, attempt ?? null);
  if (event === undefined) {
    throw new ParetuneError(
      'not-found',
      `Run ${runId} has no step ${step}${attempt === undefined ? '' : ` in attempt ${attempt}`}.`,
    );
  }
  return readStepByKey(db, event, `step ${step} of run ${runId}`);
}

/** The groups of a step by the key of its event. */
export function readStepByKey(db: Connection, event: number, place: string): Group[] {
  const calls = Map.groupBy(
    db
      .prepare<[number], CallRow>(
        `SELECT ${callColumns} FROM groups JOIN trajectories USING (group_key) JOIN tool_calls USING (trajectory_key)
         WHERE groups.event_key = ? ORDER BY trajectory_key, position`,
      )
      .all(event),
    (row) => row.trajectoryKey,
  );
  const trajectories = Map.groupBy(
    db
      .prepare<[number], FullRow>(
        `SELECT ${fullColumns} FROM groups JOIN trajectories USING (group_key)
         WHERE groups.event_key = ? ORDER BY trajectory_key`,
      )
      .all(event),
    (row) => row.groupKey,
  );
  return db
    .prepare<[number], { groupKey: number; record: string }>(
      `SELECT group_key AS groupKey, record FROM groups JOIN problems USING (problem_key) WHERE event_key = ? ORDER BY group_key`,
    )
    .all(event)
    .map(({ groupKey, record }) => {
      const problem = readJson(problemSchema, record, `a problem of ${place}`);
      return {
        problem,
        trajectories: (trajectories.get(groupKey) ?? []).map((row) =>
          toTrajectory(row, problem.id, calls.get(row.key) ?? [], place),
        ),
      };
    });
}

/** One trajectory by its key. Error: `not-found`. */
export function trajectory(db: Connection, key: number): StoredTrajectory {
  const row = db
    .prepare<
      [number],
      FullRow & { runId: string; step: number; attempt: number; supersededBy: number | null; record: string }
    >(
      `SELECT run_id AS runId, step, attempt, superseded_by AS supersededBy, record, ${fullColumns}
       FROM trajectories JOIN groups USING (group_key, event_key) JOIN problems USING (problem_key, run_key)
         JOIN events USING (event_key, run_key) JOIN runs USING (run_key)
       WHERE trajectory_key = ?`,
    )
    .get(key);
  if (row === undefined) throw new ParetuneError('not-found', `There is no trajectory ${key} in the database.`);
  const { runId, step, attempt, supersededBy, record, ...rest } = row;
  const place = `trajectory ${key} of step ${step} of run ${runId}`;
  const problem = readJson(problemSchema, record, place);
  const calls = db
    .prepare<[number], CallRow>(`SELECT ${callColumns} FROM tool_calls WHERE trajectory_key = ? ORDER BY position`)
    .all(key);
  return {
    runId,
    step,
    attempt,
    superseded: supersededBy !== null,
    problem,
    trajectory: toTrajectory(rest, problem.id, calls, place),
  };
}

function toTrajectory(row: FullRow, problemId: string, calls: CallRow[], place: string): ScoredTrajectory {
  return checked(`${place}, sample ${row.sample}`, () => {
    const [advantage, ...rewards] = decodeFloats(row.scores);
    return {
      problemId,
      sample: row.sample,
      tokens: decodeIntegers(row.tokens),
      segments: decodeSegments(row.segments),
      sampledLogprobs: decodeFloats(row.logprobs),
      toolCalls: calls.map(toCall),
      stopReason: stopReasonSchema.parse(row.stopReason),
      answer: decodeText(row.answer),
      weightsVersion: row.weightsVersion,
      success: toSuccess(row.success),
      cost: row.cost,
      rewards,
      paretoRank: row.paretoRank,
      advantage,
    };
  });
}

function toCall(row: CallRow): ToolCallRecord {
  return {
    name: decodeText(row.name),
    arguments: argumentsSchema.parse(JSON.parse(row.arguments)),
    output: decodeText(row.output),
    status: toolStatusSchema.parse(row.status),
    price: row.price,
    milliseconds: row.milliseconds,
    resultStart: row.resultStart,
  };
}

/** The column `success`: NULL where a trajectory could not be graded. */
export function toSuccess(stored: number | null): boolean | null {
  return stored === null ? null : stored === 1;
}
