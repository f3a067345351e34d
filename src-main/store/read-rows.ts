/** Reading what is one row an event: steps, evaluations and their frontier, checkpoints, notices, prices; and artifacts. */
import type { Json, PolicyPoint, Split } from '../contract/records.ts';
import type { CheckpointRecord } from '../contract/run-events.ts';
import type {
  CheckpointRow,
  EvaluationRow,
  NoticeRow,
  PriceRow,
  Standing,
  StepRow,
} from '../contract/window-records.ts';
import type { Connection } from './database.ts';
import { findRun } from './read-runs.ts';
import {
  breakdownSchema,
  metricsSchema,
  noticeSchema,
  pricesSchema,
  readJson,
  readValue,
  samplingSchema,
  splitSchema,
} from './stored-records.ts';

/** Rows of superseded attempts are left out unless they are asked for. */
export type WithSuperseded = { superseded?: boolean };

export type Artifact = { step: number; kind: string; path: string; bytes: number; details: Json };

const standing = 'event_key AS key, attempt, superseded_by AS supersededBy, at_ms AS atMs';
const counts = '(superseded_by IS NULL OR ?)';
/** The metrics of every step, in order; `after` a step at most `limit` of them. */
export function steps(
  db: Connection,
  run: string,
  options: WithSuperseded & { after?: number; limit?: number } = {},
): StepRow[] {
  const { key, runId } = findRun(db, run);
  const { superseded = false, after = 0, limit = -1 } = options;
  return db
    .prepare<[number, number, number, number], Standing & { step: number; metrics: string }>(
      `SELECT step, ${standing}, metrics FROM events JOIN steps USING (event_key)
       WHERE run_key = ? AND kind = 'step' AND step > ? AND ${counts}
       ORDER BY ${superseded ? 'event_key' : 'step'} LIMIT ?`,
    )
    .all(key, after, Number(superseded), limit)
    .map((row) => ({ ...row, metrics: readJson(metricsSchema, row.metrics, `step ${row.step} of run ${runId}`) }));
}

/** What the steps add up to, without reading each: milliseconds, sampled tokens. */
export function stepTotals(db: Connection, run: string): { stepMs: number; sampledTokens: number } {
  return db
    .prepare<[number], { stepMs: number; sampledTokens: number }>(
      `SELECT total(metrics ->> 'stepMs') AS stepMs, total(metrics ->> 'sampledTokens') AS sampledTokens
       FROM events JOIN steps USING (event_key) WHERE run_key = ? AND superseded_by IS NULL`,
    )
    .get(findRun(db, run).key)!;
}

type EvaluationColumns = Standing & {
  [K in Exclude<keyof PolicyPoint, 'breakdown' | 'klToStart'>]: PolicyPoint[K] | null;
} & {
  step: number;
  n: number;
  klToStart: number | null;
  hypervolume: number | null;
  onFrontier: number;
  breakdown: string;
};

const evaluationColumns = `step, ${standing}, split, sampling, n, success, success_low AS successLow,
  success_high AS successHigh, cost, cost_low AS costLow, cost_high AS costHigh, calls, response_length AS responseLength,
  kl_to_start AS klToStart, hypervolume, on_frontier AS onFrontier, breakdown`;

/** The measured policy points, in order; of one split or one way of sampling where it is given. `after` a row's key at most `limit`. */
export function evaluations(
  db: Connection,
  run: string,
  options: WithSuperseded & {
    split?: Split;
    sampling?: PolicyPoint['sampling'];
    after?: number;
    limit?: number;
  } = {},
): EvaluationRow[] {
  const { key } = findRun(db, run);
  const { split = null, sampling = null, superseded = false, after = 0, limit = -1 } = options;
  const rows = db
    .prepare<[number, number, number, Split | null, string | null, number], EvaluationColumns>(
      `SELECT ${evaluationColumns} FROM events JOIN evaluations USING (event_key)
       WHERE run_key = ? AND kind = 'evaluated' AND +event_key > ? AND ${counts}
         AND split = coalesce(?, split) AND sampling = coalesce(?, sampling)
       ORDER BY event_key LIMIT ?`,
    )
    .all(key, after, Number(superseded), split, sampling, limit);
  return toEvaluations(db, run, rows);
}

/** The points that no other point dominates, dearest last: success against cost, of the attempts that count. */
export function frontier(
  db: Connection,
  run: string,
  split: Split,
  sampling: PolicyPoint['sampling'] = 'sampled',
): EvaluationRow[] {
  const { key } = findRun(db, run);
  const rows = db
    .prepare<[number, Split, string], EvaluationColumns>(
      `SELECT ${evaluationColumns}
       FROM (SELECT attempt, superseded_by, at_ms, frontier_points.* FROM frontier_points JOIN events USING (event_key))
       WHERE run_key = ? AND split = ? AND sampling = ? ORDER BY cost, success`,
    )
    .all(key, split, sampling);
  return toEvaluations(db, run, rows);
}

function toEvaluations(db: Connection, run: string, rows: EvaluationColumns[]): EvaluationRow[] {
  const kept = new Map(checkpoints(db, run).map(({ checkpoint }) => [checkpoint.step, checkpoint]));
  const measured = (value: number | null) => value ?? Number.NaN;
  return rows.map((row) => {
    const place = `the evaluation of step ${row.step} of run ${run}`;
    return {
      key: row.key,
      attempt: row.attempt,
      supersededBy: row.supersededBy,
      atMs: row.atMs,
      point: {
        step: row.step,
        split: readValue(splitSchema, row.split, place),
        sampling: readValue(samplingSchema, row.sampling, place),
        n: row.n,
        success: measured(row.success),
        successLow: measured(row.successLow),
        successHigh: measured(row.successHigh),
        cost: measured(row.cost),
        costLow: measured(row.costLow),
        costHigh: measured(row.costHigh),
        calls: measured(row.calls),
        responseLength: measured(row.responseLength),
        klToStart: row.klToStart,
        breakdown: readJson(breakdownSchema, row.breakdown, place),
      },
      hypervolume: measured(row.hypervolume),
      onFrontier: row.onFrontier === 1,
      checkpoint: row.supersededBy === null ? (kept.get(row.step) ?? null) : null,
    };
  });
}

/** Checkpoints by step, the last of a step last; without `dropped` only those whose folder should be there. */
export function checkpoints(
  db: Connection,
  run: string,
  options: WithSuperseded & { dropped?: boolean } = {},
): CheckpointRow[] {
  const { key } = findRun(db, run);
  return db
    .prepare<[number, number, number], CheckpointRecord & Standing & { dropped: number }>(
      `SELECT step, ${standing}, folder, manifest_hash AS manifestHash, weights_hash AS weightsHash, bytes, dropped
       FROM events JOIN checkpoints USING (event_key)
       WHERE run_key = ? AND ${counts} AND (dropped = 0 OR ?) ORDER BY step, event_key`,
    )
    .all(key, Number(options.superseded ?? false), Number(options.dropped ?? false))
    .map(({ step, folder, manifestHash, weightsHash, bytes, dropped, ...place }) => ({
      ...place,
      checkpoint: { step, folder, manifestHash, weightsHash, bytes },
      dropped: dropped === 1,
    }));
}

/** What the run said besides its numbers, in order. */
export function notices(db: Connection, run: string, options: WithSuperseded = {}): NoticeRow[] {
  return payloads(db, run, 'notice', options).map(({ payload, ...row }) => ({
    ...row,
    ...readJson(noticeSchema, payload, `a notice of step ${row.step} of run ${run}`),
  }));
}

/** The changes of prices, in order; the first prices are in the configuration. */
export function priceChanges(db: Connection, run: string, options: WithSuperseded = {}): PriceRow[] {
  return payloads(db, run, 'prices', options).map(({ payload, ...row }) => ({
    ...row,
    ...readJson(pricesSchema, payload, `the prices of step ${row.step} of run ${run}`),
  }));
}

type PayloadRow = Standing & { step: number; payload: string };

function payloads(db: Connection, run: string, kind: 'notice' | 'prices', options: WithSuperseded): PayloadRow[] {
  return db
    .prepare<[number, string, number], PayloadRow>(
      `SELECT step, ${standing}, payload FROM events WHERE run_key = ? AND kind = ? AND ${counts} ORDER BY event_key`,
    )
    .all(findRun(db, run).key, kind, Number(options.superseded ?? false));
}

/** What was exported from the run, in order. */
export function artifacts(db: Connection, run: string): (Artifact & { atMs: number })[] {
  return db
    .prepare<[number], Omit<Artifact, 'details'> & { details: string; atMs: number }>(
      `SELECT step, kind, path, bytes, details, at_ms AS atMs FROM artifacts WHERE run_key = ? ORDER BY artifact_key`,
    )
    .all(findRun(db, run).key)
    .map((row) => ({ ...row, details: JSON.parse(row.details) as Json }));
}
