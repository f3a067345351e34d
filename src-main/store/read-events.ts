/** Reading a run as what it was: its events in their order (a replay is a run), and what its trajectories add up to. */
import type { RunEvent } from '../contract/run-events.ts';
import type { RunStatistics, Standing } from '../contract/window-records.ts';
import type { Connection } from './database.ts';
import { decodeText } from './encoding.ts';
import { checkpoints, evaluations, type WithSuperseded } from './read-rows.ts';
import { findRun, getRun } from './read-runs.ts';
import { readStepByKey } from './read-trajectories.ts';
import {
  checked,
  droppedSchema,
  endedSchema,
  metricsSchema,
  noticeSchema,
  pricesSchema,
  readJson,
} from './stored-records.ts';

export type StoredEvent = Standing & { event: RunEvent };

/**
 * The events of a run in their order. Steps come without their groups unless `groups` asks for them (readStep reads those
 * of one step); `after` is the key of the last event known, for following a run that another process writes.
 */
export function events(
  db: Connection,
  run: string,
  options: WithSuperseded & { groups?: boolean; after?: number; limit?: number } = {},
): StoredEvent[] {
  const { superseded = false, groups = false, after = 0, limit = -1 } = options;
  const { key: runKey, runId } = findRun(db, run);
  type Row = Standing & { kind: RunEvent['kind']; step: number; payload: string | null; metrics: string | null };
  const rows = db
    .prepare<[number, number, number, number], Row>(
      `SELECT event_key AS key, attempt, superseded_by AS supersededBy, at_ms AS atMs, kind, step, payload, metrics
       FROM events LEFT JOIN steps USING (event_key)
       WHERE run_key = ? AND event_key > ? AND (superseded_by IS NULL OR ?) ORDER BY event_key LIMIT ?`,
    )
    .all(runKey, after, Number(superseded), limit);
  const points = byKey(evaluations(db, runId, { superseded: true }));
  const saved = byKey(checkpoints(db, runId, { superseded: true, dropped: true }));
  return rows.map(({ kind, step, payload, metrics, ...standing }) => {
    const place = `the event ${kind} of step ${step} of run ${runId}`;
    const read = (): RunEvent => {
      switch (kind) {
        case 'started': {
          const { config, facts } = getRun(db, runId);
          return { kind, runId, config, facts };
        }
        case 'resumed':
          return { kind, runId, fromStep: step, attempt: standing.attempt };
        case 'step':
          return {
            kind,
            runId,
            step,
            groups: groups ? readStepByKey(db, standing.key, place) : [],
            metrics: readJson(metricsSchema, metrics ?? '', place),
          };
        case 'evaluated': {
          const { point, hypervolume, onFrontier } = points(standing.key, place);
          return { kind, runId, point, hypervolume, onFrontier };
        }
        case 'checkpoint':
          return {
            kind,
            runId,
            checkpoint: saved(standing.key, place).checkpoint,
            ...readJson(droppedSchema, payload ?? '', place),
          };
        case 'notice':
          return { kind, runId, step, ...readJson(noticeSchema, payload ?? '', place) };
        case 'prices':
          return { kind, runId, step, ...readJson(pricesSchema, payload ?? '', place) };
        case 'ended':
          return { kind, runId, step, ...readJson(endedSchema, payload ?? '', place) };
      }
    };
    return { ...standing, event: read() };
  });
}

/** What the trajectories of a run add up to; of the attempts that count. */
export function statistics(db: Connection, run: string): RunStatistics {
  const { key } = findRun(db, run);
  const that =
    'FROM trajectories AS t JOIN events AS e USING (event_key) WHERE t.run_key = ? AND e.superseded_by IS NULL';
  type Sums = Pick<RunStatistics, 'trajectories' | 'successes' | 'ungraded' | 'cost'>;
  const sums = db
    .prepare<[number], Sums>(
      `SELECT count(*) AS trajectories, coalesce(sum(success), 0) AS successes, count(*) - count(success) AS ungraded,
         total(cost) AS cost ${that}`,
    )
    .get(key)!;
  const count = (sql: string) => db.prepare<[number], number>(sql).pluck().get(key)!;
  const reasons = db
    .prepare<[number], [string, number]>(`SELECT stop_reason, count(*) ${that} GROUP BY stop_reason`)
    .raw();
  type CallRow = { name: string | Buffer; status: string; calls: number; price: number; milliseconds: number };
  const calls = db
    .prepare<[number], CallRow>(
      `SELECT name, status, count(*) AS calls, total(price) AS price, total(milliseconds) AS milliseconds
       FROM tool_calls WHERE trajectory_key IN (SELECT t.trajectory_key ${that}) GROUP BY name, status ORDER BY name, status`,
    )
    .all(key);
  const byTool = Map.groupBy(calls, (row) => decodeText(row.name));
  const sum = (rows: CallRow[], field: 'calls' | 'price' | 'milliseconds') =>
    rows.reduce((all, row) => all + row[field], 0);
  return {
    ...sums,
    problems: count('SELECT count(*) FROM problems WHERE run_key = ?'),
    supersededTrajectories: count('SELECT count(*) FROM trajectories WHERE run_key = ?') - sums.trajectories,
    stopReasons: Object.fromEntries(reasons.all(key)),
    tools: [...byTool].map(([name, rows]) => ({
      name,
      calls: sum(rows, 'calls'),
      price: sum(rows, 'price'),
      meanMs: sum(rows, 'milliseconds') / sum(rows, 'calls'),
      statuses: Object.fromEntries(rows.map((row) => [row.status, row.calls])),
    })),
  };
}

/** The tools that the newest trajectories of a run called, by name; however many there are, it reads no more than `newest`. */
export function calledTools(db: Connection, run: string, newest = 20_000): string[] {
  const called = db
    .prepare<[number, number], string>(
      `SELECT DISTINCT tools FROM
         (SELECT tools FROM trajectories WHERE run_key = ? ORDER BY trajectory_key DESC LIMIT ?)`,
    )
    .pluck()
    .all(findRun(db, run).key, newest);
  return [...new Set(called.flatMap((tools) => tools.split('\n').filter((name) => name !== '')))].sort();
}

/** Looks rows up by their event; an event without its row is damage. */
function byKey<T extends Standing>(rows: T[]): (key: number, place: string) => T {
  const map = new Map(rows.map((row) => [row.key, row]));
  return (key, place) =>
    checked(place, () => {
      const row = map.get(key);
      if (row === undefined) throw new Error('its row is missing');
      return row;
    });
}
