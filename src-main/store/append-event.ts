/**
 * Writing: one RunEvent is one transaction, on the disk's log when `append` returns. A step with all its groups is there
 * whole or not at all. Only the process that holds the writer lock comes here.
 */
import { ParetuneError } from '../contract/errors.ts';
import type { RunEvent } from '../contract/run-events.ts';
import { assert } from '../engine/base/assert.ts';
import { exactJson } from '../engine/base/exact-json.ts';
import { type Connection, durably } from './database.ts';
import { stepWriter } from './write-step.ts';

export type EventWriter = {
  append(event: RunEvent): void;
  /** the number of the attempt that a resume would begin */
  nextAttempt(runId: string): number;
};

/** The writer of an open database, its statements prepared once. */
export function eventWriter(db: Connection): EventWriter {
  const findRun = db.prepare<[string], { key: number; attempt: number }>(
    `SELECT run_key AS key, (SELECT max(attempt) FROM attempts WHERE run_key = runs.run_key) AS attempt
     FROM runs WHERE run_id = ?`,
  );
  const insertRun = db.prepare(
    `INSERT INTO runs (run_id, config, facts, status, reason, started_at_ms, changed_at_ms)
     VALUES (?, ?, ?, 'running', '', ?, ?)`,
  );
  const setStatus = db.prepare('UPDATE runs SET status = ?, reason = ?, changed_at_ms = ? WHERE run_key = ?');
  const insertAttempt = db.prepare(
    'INSERT INTO attempts (run_key, attempt, from_step, started_at_ms) VALUES (?, ?, ?, ?)',
  );
  const findAttempt = db.prepare<[number, number], { fromStep: number }>(
    'SELECT from_step AS fromStep FROM attempts WHERE run_key = ? AND attempt = ?',
  );
  const insertEvent = db.prepare(
    'INSERT INTO events (run_key, attempt, kind, step, at_ms, payload) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const supersede = db.prepare(
    'UPDATE events SET superseded_by = ? WHERE run_key = ? AND step > ? AND superseded_by IS NULL',
  );
  const findLastStep = db
    .prepare<[number], number | null>(
      "SELECT max(step) FROM events WHERE run_key = ? AND kind = 'step' AND superseded_by IS NULL",
    )
    .pluck();
  const insertEvaluation = db.prepare(
    `INSERT INTO evaluations (event_key, split, sampling, n, success, success_low, success_high, cost, cost_low, cost_high,
       calls, response_length, kl_to_start, hypervolume, on_frontier, breakdown)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertCheckpoint = db.prepare(
    'INSERT INTO checkpoints (event_key, folder, manifest_hash, weights_hash, bytes) VALUES (?, ?, ?, ?, ?)',
  );
  const dropCheckpoint = db.prepare(
    `UPDATE checkpoints SET dropped = 1
     WHERE event_key IN (SELECT event_key FROM events WHERE run_key = ? AND kind = 'checkpoint' AND step = ?)`,
  );
  const writeStep = stepWriter(db);

  /** The run that an event belongs to: all but the first event need one. */
  function runOf(runId: string): { key: number; attempt: number } {
    const run = findRun.get(runId);
    if (run === undefined) throw new ParetuneError('not-found', `There is no run ${runId} in the database.`);
    return run;
  }

  function write(event: RunEvent): void {
    const now = Date.now();
    if (event.kind === 'started') {
      if (findRun.get(event.runId) !== undefined) {
        throw new ParetuneError('store', `The database already has a run ${event.runId}.`, {
          hint: `Go on with it by \`paretune resume ${event.runId}\`, or start a run under another name.`,
        });
      }
      const key = Number(
        insertRun.run(event.runId, exactJson(event.config), exactJson(event.facts), now, now).lastInsertRowid,
      );
      insertAttempt.run(key, 0, 0, now);
      insertEvent.run(key, 0, event.kind, 0, now, null);
      return;
    }
    const run = runOf(event.runId);
    const log = (step: number, payload: unknown = null, attempt = run.attempt) =>
      Number(
        insertEvent.run(run.key, attempt, event.kind, step, now, payload === null ? null : exactJson(payload))
          .lastInsertRowid,
      );
    switch (event.kind) {
      case 'resumed': {
        const known = findAttempt.get(run.key, event.attempt);
        // The caller of resumeRun and the training loop may both say it.
        if (known?.fromStep === event.fromStep && event.attempt === run.attempt) return;
        if (event.attempt !== run.attempt + 1) {
          throw new ParetuneError(
            'store',
            `Run ${event.runId} resumes as attempt ${event.attempt}, but its next attempt is ${run.attempt + 1}.`,
            { hint: 'This is a fault of Paretune itself: the attempt of a resume comes from the store.' },
          );
        }
        insertAttempt.run(run.key, event.attempt, event.fromStep, now);
        supersede.run(event.attempt, run.key, event.fromStep);
        log(event.fromStep, null, event.attempt);
        setStatus.run('running', '', now, run.key);
        return;
      }
      case 'step': {
        const last = findLastStep.get(run.key) ?? 0;
        assert(
          event.step > last,
          `step ${event.step} comes after step ${last} of the same attempt (steps count from 1)`,
        );
        writeStep(run.key, log(event.step), event);
        return;
      }
      case 'evaluated': {
        const { point, hypervolume, onFrontier } = event;
        // biome-ignore format: in the order of the columns
        insertEvaluation.run(log(point.step), point.split, point.sampling, point.n,
          point.success, point.successLow, point.successHigh, point.cost, point.costLow, point.costHigh,
          point.calls, point.responseLength, point.klToStart, hypervolume, onFrontier ? 1 : 0, exactJson(point.breakdown));
        return;
      }
      case 'checkpoint': {
        const { step, folder, manifestHash, weightsHash, bytes } = event.checkpoint;
        for (const dropped of event.dropped) dropCheckpoint.run(run.key, dropped);
        insertCheckpoint.run(log(step, { dropped: event.dropped }), folder, manifestHash, weightsHash, bytes);
        return;
      }
      case 'notice':
        log(event.step, { level: event.level, code: event.code, message: event.message });
        return;
      case 'prices':
        log(event.step, { prices: event.prices });
        return;
      case 'ended':
        log(event.step, { status: event.status, reason: event.reason });
        setStatus.run(event.status, event.reason, now, run.key);
    }
  }

  const transaction = db.transaction(write);
  return {
    append(event) {
      // What a checkpoint claims must be true after a power cut; all else may lose its last moments then.
      if (event.kind === 'checkpoint' || event.kind === 'started' || event.kind === 'ended') {
        durably(db, () => transaction.immediate(event));
      } else transaction.immediate(event);
    },
    nextAttempt: (runId) => runOf(runId).attempt + 1,
  };
}
