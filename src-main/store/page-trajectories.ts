/**
 * Pages of short trajectory rows, filtered and searched. Pages go by the key of the last row, not by an offset, so that the
 * 2,000th page costs what the first does.
 */
import type { StopReason } from '../contract/records.ts';
import type { TrajectoryPage, TrajectoryRow } from '../contract/window-records.ts';
import type { Connection } from './database.ts';
import { decodeFloats, decodeText } from './encoding.ts';
import { findRun } from './read-runs.ts';
import { type Text, toSuccess } from './read-trajectories.ts';
import { searchQuery } from './search-text.ts';
import { checked, readValue, stopReasonSchema } from './stored-records.ts';

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
  addFilter(db, where, key, filter);
  const direction = oldestFirst ? 'ASC' : 'DESC';
  type Row = Omit<TrajectoryRow, 'prompt' | 'answer' | 'success' | 'superseded' | 'stopReason' | 'rewards'> & {
    prompt: Text;
    answer: Text;
    success: number | null;
    supersededBy: number | null;
    stopReason: string;
    /** advantage, then the rewards */
    scores: Uint8Array;
  };
  // The inner query walks an index that holds all it filters by; only the rows of the page are then looked up.
  const rows = db
    .prepare<(string | number)[], Row>(
      `SELECT trajectory_key AS key, step, attempt, superseded_by AS supersededBy, problem_id AS problemId, task, sample, prompt,
         answer, success, calls, cost, advantage, scores, pareto_rank AS paretoRank, stop_reason AS stopReason
       FROM (SELECT t.trajectory_key FROM trajectories AS t WHERE ${where.sql} ORDER BY t.trajectory_key ${direction} LIMIT ?)
         JOIN trajectories USING (trajectory_key) JOIN groups USING (group_key, event_key)
         JOIN problems USING (problem_key, run_key) JOIN events USING (event_key, run_key)
       ORDER BY trajectory_key ${direction}`,
    )
    .all(...where.values, limit + 1);
  const shown = rows.slice(0, limit).map(({ supersededBy, scores, ...row }) => ({
    ...row,
    superseded: supersededBy !== null,
    prompt: decodeText(row.prompt),
    answer: decodeText(row.answer),
    success: toSuccess(row.success),
    rewards: checked(`trajectory ${row.key} of run ${runId}`, () => decodeFloats(scores).slice(1)),
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

/** The unary plus keeps SQLite from seeking once for every value of a list: it is to walk the index and test each row. */
function addFilter(db: Connection, where: Where, run: number, filter: TrajectoryFilter): void {
  const { fromStep = 0, toStep = Number.MAX_SAFE_INTEGER, step, superseded = false } = filter;
  const counts = superseded ? '' : 'AND superseded_by IS NULL';
  if (fromStep > 0 || toStep < Number.MAX_SAFE_INTEGER || step === undefined) {
    where.add(
      `+t.event_key IN (SELECT event_key FROM events WHERE run_key = ? AND kind = 'step' AND step BETWEEN ? AND ? ${counts})`,
      run,
      fromStep,
      toStep,
    );
  }
  if (step !== undefined) {
    // few rows, found by the step's groups: the run is not walked through
    where.add(
      `t.trajectory_key IN (SELECT trajectory_key FROM events CROSS JOIN groups USING (event_key)
         CROSS JOIN trajectories USING (group_key) WHERE events.run_key = ? AND kind = 'step' AND step = ? ${counts})`,
      run,
      step,
    );
  }
  if (filter.success === null) where.add('t.success IS NULL');
  else if (filter.success !== undefined) where.add('t.success = ?', Number(filter.success));
  if (filter.minCalls !== undefined) where.add('t.calls >= ?', filter.minCalls);
  if (filter.maxCalls !== undefined) where.add('t.calls <= ?', filter.maxCalls);
  if (filter.stopReason !== undefined) where.add('t.stop_reason = ?', filter.stopReason);
  if (filter.tool !== undefined) {
    where.add('instr(t.tools, ?) > 0', `\n${filter.tool}\n`);
  }
  if (filter.problemId !== undefined) {
    where.add(
      `t.group_key IN (SELECT group_key FROM groups JOIN problems USING (problem_key) WHERE run_key = ? AND problem_id = ?)`,
      run,
      filter.problemId,
    );
  }
  if (filter.search !== undefined && filter.search.trim() !== '') {
    const query = searchQuery(filter.search, gapsOf(db));
    if (query === null) where.add('FALSE');
    else where.add('+t.trajectory_key IN (SELECT rowid FROM trajectory_search WHERE trajectory_search MATCH ?)', query);
  }
}

/** Asks the search index whether a character parts a word: it then refuses the two words as a phrase. */
function gapsOf(db: Connection): (character: string) => boolean {
  const probe = db.prepare<[string]>('SELECT 1 FROM trajectory_search WHERE trajectory_search MATCH ? LIMIT 1');
  return (character) => {
    try {
      probe.get(`"a${character}a"`);
      return false;
    } catch {
      return true;
    }
  };
}
