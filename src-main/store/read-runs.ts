/** Reading runs: the list of all, one with its configuration, and what the user's name for a run means. */
import { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import type { RunConfig } from '../contract/run-config.ts';
import type { RunFacts } from '../contract/run-events.ts';
import type { RunListing } from '../contract/window-records.ts';
import type { Connection } from './database.ts';
import { configSchema, factsSchema, readJson, readValue, statusSchema } from './stored-records.ts';

export type StoredRun = RunListing & {
  config: RunConfig;
  facts: RunFacts;
  /** the start and every resume */
  attempts: { attempt: number; fromStep: number; startedAtMs: number }[];
};

const listing = `
  SELECT run_key AS runKey, run_id AS runId, status, reason, started_at_ms AS startedAtMs, changed_at_ms AS changedAtMs,
    (SELECT coalesce(max(step), 0) FROM events WHERE events.run_key = runs.run_key AND kind = 'step'
       AND superseded_by IS NULL) AS step,
    config ->> 'steps' AS plannedSteps, config ->> 'method' AS method, config ->> 'model' AS model,
    config -> 'tasks' AS tasks
  FROM runs`;
type ListingRow = Omit<RunListing, 'tasks'> & { runKey: number; tasks: string };

/** All runs, the one that changed last first. */
export function listRuns(db: Connection): RunListing[] {
  return db.prepare<[], ListingRow>(`${listing} ORDER BY changedAtMs DESC, runKey DESC`).all().map(toListing);
}

/** A run by its name, the beginning of its name where only one begins so, or `last`. Errors: `not-found`, `usage` (ambiguous). */
export function getRun(db: Connection, name: string): StoredRun {
  const { key, runId } = findRun(db, name);
  const row = db
    .prepare<[number], ListingRow & { config: string; facts: string }>(
      `SELECT * FROM (${listing}) JOIN (SELECT run_key AS runKey, config, facts FROM runs) USING (runKey) WHERE runKey = ?`,
    )
    .get(key)!;
  return {
    ...toListing(row),
    config: readJson(configSchema, row.config, `the configuration of run ${runId}`),
    facts: readJson(factsSchema, row.facts, `the facts of run ${runId}`),
    attempts: db
      .prepare<[number], StoredRun['attempts'][number]>(
        `SELECT attempt, from_step AS fromStep, started_at_ms AS startedAtMs FROM attempts
         WHERE run_key = ? ORDER BY attempt`,
      )
      .all(key),
  };
}

function toListing({ runKey: _, ...row }: ListingRow): RunListing {
  const place = `run ${row.runId}`;
  return {
    runId: row.runId,
    status: readValue(statusSchema, row.status, place),
    reason: row.reason,
    startedAtMs: row.startedAtMs,
    changedAtMs: row.changedAtMs,
    step: row.step,
    plannedSteps: row.plannedSteps,
    method: row.method,
    model: row.model,
    tasks: readJson(z.array(z.string()), row.tasks, place),
  };
}

/** The key of a run by name, unique beginning of a name, or `last`. Errors as `getRun`. */
export function findRun(db: Connection, name: string): { key: number; runId: string } {
  type Row = { key: number; runId: string };
  if (name === 'last') {
    const last = db
      .prepare<[], Row>(
        'SELECT run_key AS key, run_id AS runId FROM runs ORDER BY changed_at_ms DESC, run_key DESC LIMIT 1',
      )
      .get();
    if (last !== undefined) return last;
    throw new ParetuneError('not-found', 'There is no run yet.', {
      hint: 'Start one with `paretune tune` or `paretune demo`.',
    });
  }
  const rows = db
    .prepare<[string, string], Row>(
      `SELECT run_key AS key, run_id AS runId FROM runs WHERE substr(run_id, 1, length(?)) = ?
       ORDER BY length(run_id), run_id LIMIT 6`,
    )
    .all(name, name);
  if (name !== '' && (rows.length === 1 || rows[0]?.runId === name)) return rows[0];
  if (rows.length === 0 || name === '') {
    throw new ParetuneError('not-found', `There is no run ${JSON.stringify(name)}.`, {
      hint: '`paretune runs` lists all runs; `last` names the one that changed last.',
    });
  }
  throw new ParetuneError(
    'usage',
    `Several runs begin with ${JSON.stringify(name)}: ${rows.map((row) => row.runId).join(', ')}.`,
    {
      hint: 'Type more of the name.',
    },
  );
}
