/**
 * The first schema: runs and everything that happened in them. `events` is the spine: one row for each RunEvent, in the
 * order of event_key; larger events continue in a table of their own under the same key. A row is never changed once
 * committed, except for its marks: events.superseded_by, checkpoints.dropped, and the state of a run.
 *
 * Steps follow the weights: a `step` event of number s is the update that made weights version s (the first is 1), and an
 * evaluation or a checkpoint of step s belongs to those weights (0 is the start).
 */
import type { Migration } from '../migrate.ts';

export const runsMigration: Migration = {
  version: 1,
  name: 'runs',
  up(db) {
    db.exec(`
      CREATE TABLE runs (
        run_key INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE CHECK (run_id <> ''),
        config TEXT NOT NULL CHECK (json_valid(config)),
        facts TEXT NOT NULL CHECK (json_valid(facts)),
        status TEXT NOT NULL CHECK (status IN ('running', 'finished', 'stopped', 'failed')),
        reason TEXT NOT NULL,
        started_at_ms INTEGER NOT NULL,
        changed_at_ms INTEGER NOT NULL
      ) STRICT;

      -- attempt 0 is the start, each resume is the next; from_step is the checkpoint it went on from
      CREATE TABLE attempts (
        run_key INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
        attempt INTEGER NOT NULL CHECK (attempt >= 0),
        from_step INTEGER NOT NULL CHECK (from_step >= 0),
        started_at_ms INTEGER NOT NULL,
        PRIMARY KEY (run_key, attempt)
      ) STRICT, WITHOUT ROWID;

      -- superseded_by: the later attempt that went on from an earlier step, NULL while the row counts
      CREATE TABLE events (
        event_key INTEGER PRIMARY KEY,
        run_key INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        kind TEXT NOT NULL
          CHECK (kind IN ('started', 'resumed', 'step', 'evaluated', 'checkpoint', 'notice', 'prices', 'ended')),
        step INTEGER NOT NULL CHECK (step >= 0),
        at_ms INTEGER NOT NULL,
        superseded_by INTEGER,
        payload TEXT CHECK (json_valid(payload)),
        FOREIGN KEY (run_key, attempt) REFERENCES attempts ON DELETE CASCADE
      ) STRICT;
      CREATE INDEX events_by_run ON events (run_key, kind, step);
      CREATE INDEX events_by_attempt ON events (run_key, attempt);
      CREATE UNIQUE INDEX one_step_that_counts ON events (run_key, step)
        WHERE kind = 'step' AND superseded_by IS NULL;

      CREATE TABLE steps (
        event_key INTEGER PRIMARY KEY REFERENCES events ON DELETE CASCADE,
        metrics TEXT NOT NULL CHECK (json_valid(metrics))
      ) STRICT;

      -- a problem is kept once a run; hash is the SHA-256 of its record; prompt is the last user message
      CREATE TABLE problems (
        problem_key INTEGER PRIMARY KEY,
        run_key INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
        hash BLOB NOT NULL,
        problem_id TEXT NOT NULL,
        task TEXT NOT NULL,
        prompt ANY NOT NULL,
        record TEXT NOT NULL CHECK (json_valid(record)),
        UNIQUE (run_key, hash)
      ) STRICT;

      -- the groups of a step lie in the order of group_key, the trajectories of a group in the order of trajectory_key
      CREATE TABLE groups (
        group_key INTEGER PRIMARY KEY,
        event_key INTEGER NOT NULL REFERENCES steps ON DELETE CASCADE,
        problem_key INTEGER NOT NULL REFERENCES problems ON DELETE CASCADE
      ) STRICT;
      CREATE INDEX groups_by_step ON groups (event_key);
      CREATE INDEX groups_by_problem ON groups (problem_key);

      -- run_key, event_key, calls and tools (each name called, between line feeds) repeat what lies elsewhere, for the index
      -- that pages and filters.
      -- scores holds [advantage, rewards...] exactly; the column advantage is for reading by eye and by SQL.
      CREATE TABLE trajectories (
        trajectory_key INTEGER PRIMARY KEY,
        group_key INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
        run_key INTEGER NOT NULL,
        event_key INTEGER NOT NULL,
        sample INTEGER NOT NULL,
        success INTEGER CHECK (success IN (0, 1)),
        calls INTEGER NOT NULL,
        tools TEXT NOT NULL,
        cost REAL NOT NULL,
        advantage REAL NOT NULL,
        pareto_rank INTEGER NOT NULL,
        stop_reason TEXT NOT NULL,
        weights_version INTEGER NOT NULL,
        answer ANY NOT NULL,
        scores BLOB NOT NULL,
        segments BLOB NOT NULL,
        tokens BLOB NOT NULL,
        logprobs BLOB NOT NULL
      ) STRICT;
      CREATE INDEX trajectories_by_group ON trajectories (group_key);
      CREATE INDEX trajectories_by_run
        ON trajectories (run_key, trajectory_key, event_key, success, calls, tools, cost, stop_reason);

      CREATE TABLE tool_calls (
        trajectory_key INTEGER NOT NULL REFERENCES trajectories ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name ANY NOT NULL,
        arguments TEXT NOT NULL CHECK (json_valid(arguments)),
        output ANY NOT NULL,
        status TEXT NOT NULL,
        price REAL NOT NULL,
        milliseconds REAL NOT NULL,
        result_start INTEGER NOT NULL,
        PRIMARY KEY (trajectory_key, position)
      ) STRICT, WITHOUT ROWID;

      -- NULL in a measured number is NaN (an interval of one problem, say); in kl_to_start it means not measured
      CREATE TABLE evaluations (
        event_key INTEGER PRIMARY KEY REFERENCES events ON DELETE CASCADE,
        split TEXT NOT NULL CHECK (split IN ('train', 'selection', 'report')),
        sampling TEXT NOT NULL CHECK (sampling IN ('sampled', 'greedy')),
        n INTEGER NOT NULL,
        success REAL, success_low REAL, success_high REAL,
        cost REAL, cost_low REAL, cost_high REAL,
        calls REAL,
        response_length REAL,
        kl_to_start REAL,
        hypervolume REAL,
        on_frontier INTEGER NOT NULL CHECK (on_frontier IN (0, 1)),
        breakdown TEXT NOT NULL CHECK (json_valid(breakdown))
      ) STRICT;

      CREATE TABLE checkpoints (
        event_key INTEGER PRIMARY KEY REFERENCES events ON DELETE CASCADE,
        folder TEXT NOT NULL,
        manifest_hash TEXT NOT NULL,
        weights_hash TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        dropped INTEGER NOT NULL DEFAULT 0 CHECK (dropped IN (0, 1))
      ) STRICT;

      -- what was exported from a run, and where to
      CREATE TABLE artifacts (
        artifact_key INTEGER PRIMARY KEY,
        run_key INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
        step INTEGER NOT NULL,
        kind TEXT NOT NULL,
        path TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        details TEXT NOT NULL CHECK (json_valid(details)),
        at_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX artifacts_by_run ON artifacts (run_key);

      -- the archive of policy points: no other point that counts is as good in both and better in one; of equals the first
      CREATE VIEW frontier_points AS
        SELECT * FROM (
          SELECT run_key, step, evaluations.*, max(success) OVER (
            PARTITION BY run_key, split, sampling ORDER BY cost, success DESC, event_key
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
          ) AS best_cheaper
          FROM evaluations JOIN events USING (event_key)
          WHERE superseded_by IS NULL AND success IS NOT NULL AND cost IS NOT NULL
        ) WHERE best_cheaper IS NULL OR success > best_cheaper;

      CREATE VIEW notices AS
        SELECT run_key, attempt, step, at_ms, superseded_by, payload ->> 'level' AS level, payload ->> 'code' AS code,
          payload ->> 'message' AS message
        FROM events WHERE kind = 'notice';
      CREATE VIEW price_changes AS
        SELECT run_key, attempt, step, at_ms, superseded_by, payload AS prices FROM events WHERE kind = 'prices';
    `);
  },
};
