/**
 * Reading trajectories: a whole step as the groups it was trained on, one trajectory with its problem, and pages of short
 * rows for lists. Pages go by the key of the last row, not by an offset, so that the 2,000th page costs what the first does.
 */
import { ParetuneError } from '../contract/errors.ts';
import type { Group, Problem, ScoredTrajectory, StopReason, ToolCallRecord } from '../contract/records.ts';
import type { Connection } from './database.ts';
import { decodeFloats, decodeIntegers, decodeSegments, decodeText } from './encoding.ts';
import { findRun } from './read-runs.ts';
import { searchQuery } from './search-text.ts';
import {
  argumentsSchema,
  checked,
  problemSchema,
  readJson,
  readValue,
  stopReasonSchema,
  toolStatusSchema,
} from './stored-records.ts';

/** Which trajectories of a run; what is left out does not restrict. */
export type TrajectoryFilter = {
  /** those of one step, or of a range of steps, both ends included */
  step?: number;
  fromStep?: number;
  toStep?: number;
  problemId?: string;
  /** null: could not be graded */
  success?: boolean | null;
  minCalls?: number;
  maxCalls?: number;
  stopReason?: StopReason;
  /** at least one call of this tool */
  tool?: string;
  /** words of the prompt, the answer, the tool arguments or outputs: all of them, each as the beginning of a word */
  search?: string;
  /** also those of superseded attempts */
  superseded?: boolean;
};

export type TrajectoryRow = {
  /** names the trajectory within the database */
  key: number;
  step: number;
  attempt: number;
  superseded: boolean;
  problemId: string;
  task: string;
  sample: number;
  prompt: string;
  answer: string;
  success: boolean | null;
  calls: number;
  cost: number;
  advantage: number;
  paretoRank: number;
  stopReason: StopReason;
};

/** `next` is what to pass as `after` for the following page; null on the last. */
export type TrajectoryPage = { rows: TrajectoryRow[]; next: number | null };

export type StoredTrajectory = {
  runId: string;
  step: number;
  attempt: number;
  superseded: boolean;
  problem: Problem;
  trajectory: ScoredTrajectory;
};

type Text = string | Buffer;
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

function toSuccess(stored: number | null): boolean | null {
  return stored === null ? null : stored === 1;
}

/** A page of the trajectories of a run that pass the filter, newest first unless `order` says otherwise. */
export function trajectories(
  db: Connection,
  run: string,
  filter: TrajectoryFilter = {},
  page: { after?: number; limit?: number; order?: 'newest' | 'oldest' } = {},
): TrajectoryPage {
  const { key, runId } = findRun(db, run);
  const { after, limit = 50, order = 'newest' } = page;
  const oldestFirst = order === 'oldest';
  const where = new Where();
  where.add('t.run_key = ?', key);
  if (after !== undefined) where.add(`t.trajectory_key ${oldestFirst ? '>' : '<'} ?`, after);
  addFilter(where, key, filter);
  const direction = oldestFirst ? 'ASC' : 'DESC';
  type Row = Omit<TrajectoryRow, 'prompt' | 'answer' | 'success' | 'superseded' | 'stopReason'> & {
    prompt: Text;
    answer: Text;
    success: number | null;
    supersededBy: number | null;
    stopReason: string;
  };
  // The inner query walks an index that holds all it filters by; only the rows of the page are then looked up.
  const rows = db
    .prepare<(string | number)[], Row>(
      `SELECT trajectory_key AS key, step, attempt, superseded_by AS supersededBy, problem_id AS problemId, task, sample, prompt,
         answer, success, calls, cost, advantage, pareto_rank AS paretoRank, stop_reason AS stopReason
       FROM (SELECT t.trajectory_key FROM trajectories AS t WHERE ${where.sql} ORDER BY t.trajectory_key ${direction} LIMIT ?)
         JOIN trajectories USING (trajectory_key) JOIN groups USING (group_key, event_key)
         JOIN problems USING (problem_key, run_key) JOIN events USING (event_key, run_key)
       ORDER BY trajectory_key ${direction}`,
    )
    .all(...where.values, limit + 1);
  const shown = rows.slice(0, limit).map(({ supersededBy, ...row }) => ({
    ...row,
    superseded: supersededBy !== null,
    prompt: decodeText(row.prompt),
    answer: decodeText(row.answer),
    success: toSuccess(row.success),
    stopReason: readValue(stopReasonSchema, row.stopReason, `trajectory ${row.key} of run ${runId}`),
  }));
  return { rows: shown, next: rows.length > limit ? shown[shown.length - 1].key : null };
}

/** Conditions and their values, in step. */
class Where {
  readonly values: (string | number)[] = [];
  readonly #parts: string[] = [];

  add(condition: string, ...values: (string | number)[]): void {
    this.#parts.push(condition);
    this.values.push(...values);
  }

  get sql(): string {
    return this.#parts.join(' AND ');
  }
}

function addFilter(where: Where, run: number, filter: TrajectoryFilter): void {
  const { fromStep = filter.step ?? 0, toStep = filter.step ?? Number.MAX_SAFE_INTEGER, superseded = false } = filter;
  where.add(
    `t.event_key IN (SELECT event_key FROM events WHERE run_key = ? AND kind = 'step' AND step BETWEEN ? AND ?
       ${superseded ? '' : 'AND superseded_by IS NULL'})`,
    run,
    fromStep,
    toStep,
  );
  if (filter.success === null) where.add('t.success IS NULL');
  else if (filter.success !== undefined) where.add('t.success = ?', Number(filter.success));
  if (filter.minCalls !== undefined) where.add('t.calls >= ?', filter.minCalls);
  if (filter.maxCalls !== undefined) where.add('t.calls <= ?', filter.maxCalls);
  if (filter.stopReason !== undefined) where.add('t.stop_reason = ?', filter.stopReason);
  if (filter.tool !== undefined) {
    where.add(
      'EXISTS (SELECT 1 FROM tool_calls AS c WHERE c.trajectory_key = t.trajectory_key AND c.name = ?)',
      filter.tool,
    );
  }
  if (filter.problemId !== undefined) {
    where.add(
      `t.group_key IN (SELECT group_key FROM groups JOIN problems USING (problem_key) WHERE run_key = ? AND problem_id = ?)`,
      run,
      filter.problemId,
    );
  }
  if (filter.search !== undefined && filter.search.trim() !== '') {
    const query = searchQuery(filter.search);
    if (query === null) where.add('FALSE');
    else where.add('t.trajectory_key IN (SELECT rowid FROM trajectory_search WHERE trajectory_search MATCH ?)', query);
  }
}
