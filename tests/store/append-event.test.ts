import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import { eventWriter } from '../../src-main/store/append-event.ts';
import { explainFailures, openDatabase } from '../../src-main/store/database.ts';
import { migrate } from '../../src-main/store/migrate.ts';
import { databasePath, openStore, type Store } from '../../src-main/store/open-store.ts';
import { readersOf } from '../../src-main/store/readers.ts';
import { anyGroups, anyMetrics, checkpointEvent, evaluated, started, stepEvent } from './samples.ts';

const root = mkdtempSync(join(tmpdir(), 'paretune-store-'));
const open: Store[] = [];
after(() => {
  for (const store of open) store.close();
  rmSync(root, { recursive: true });
});

function newStore(): Store {
  const store = openStore(mkdtempSync(join(root, 'data-')), { mode: 'write' });
  open.push(store);
  return store;
}

/** A second connection, for looking at the tables and for damaging them. */
function raw(store: Store): Database.Database {
  return new Database(databasePath(store.dataFolder));
}

function stepsOf(store: Store, superseded = false): number[] {
  return store.steps('r', { superseded }).map(({ step }) => step);
}

const withCode = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ParetuneError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

test('any step comes back exactly as it was written: every token, bit, text and call', () => {
  const store = newStore();
  store.append(started('r'));
  let step = 0;
  fc.assert(
    fc.property(anyGroups, anyMetrics, (groups, metrics) => {
      store.append({ kind: 'step', runId: 'r', step: ++step, groups, metrics });
      assert.deepStrictEqual(store.readStep('r', step), groups);
      assert.deepStrictEqual(store.steps('r').at(-1)?.metrics, metrics);
    }),
    { numRuns: 150 },
  );
});

test('a trajectory by its key is the one that was written, with its problem', () => {
  const store = newStore();
  store.append(started('r'));
  const event = stepEvent('r', 1);
  store.append(event);
  const { rows } = store.trajectories('r', {}, { limit: 100, order: 'oldest' });
  const written = event.groups.flatMap(({ problem, trajectories }) =>
    trajectories.map((trajectory) => ({ problem, trajectory })),
  );
  assert.equal(rows.length, written.length);
  rows.forEach(({ key }, i) => {
    const { problem, trajectory, step, superseded } = store.trajectory(key);
    assert.deepStrictEqual({ problem, trajectory }, written[i]);
    assert.deepEqual([step, superseded], [1, false]);
  });
  assert.throws(() => store.trajectory(10 ** 9), withCode('not-found', /no trajectory 1000000000/));
});

test('a replay gives back all events in their order, equal to what was appended', () => {
  const store = newStore();
  const events: RunEvent[] = [
    started('r'),
    evaluated('r', 0, 0.7, 2, { klToStart: null, costLow: Number.NaN, costHigh: Number.POSITIVE_INFINITY }),
    stepEvent('r', 1),
    { kind: 'prices', runId: 'r', step: 1, prices: { calculator: 2.5, search: 0 } },
    stepEvent('r', 2),
    { kind: 'notice', runId: 'r', step: 2, level: 'warning', code: 'tool-slow', message: 'calculator took 2 s' },
    checkpointEvent('r', 2),
    stepEvent('r', 3),
    evaluated('r', 3, 0.8, 1, { split: 'report', sampling: 'greedy' }),
    checkpointEvent('r', 3, [2]),
    { kind: 'ended', runId: 'r', step: 3, status: 'finished', reason: 'all steps done' },
  ];
  for (const event of events) store.append(event);
  const replay = store.events('r', { groups: true });
  assert.deepStrictEqual(
    replay.map(({ event }) => event),
    events,
  );
  const seen = replay[4].key;
  assert.deepEqual(
    store.events('r', { after: seen, limit: 2 }).map(({ event }) => event.kind),
    ['notice', 'checkpoint'],
  );
  const step = store.events('r')[2].event;
  assert.ok(step.kind === 'step' && step.groups.length === 0, 'groups only where they are asked for');
  assert.deepEqual(
    store.checkpoints('r').map(({ checkpoint }) => checkpoint.step),
    [3],
    'dropped ones are not offered',
  );
  assert.equal(store.checkpoints('r', { dropped: true }).length, 2);
  assert.deepEqual(store.notices('r')[0].message, 'calculator took 2 s');
  assert.deepEqual(store.priceChanges('r')[0].prices, { calculator: 2.5, search: 0 });
  assert.equal(store.getRun('r').status, 'finished');
});

test('a resume supersedes the rows after the checkpoint, keeps them marked, and goes on from it', () => {
  const store = newStore();
  store.append(started('r'));
  for (const step of [1, 2, 3, 4]) store.append(stepEvent('r', step));
  store.append(checkpointEvent('r', 2));
  store.append(evaluated('r', 2, 0.7, 2));
  store.append(evaluated('r', 4, 0.9, 1));
  const before = store.readStep('r', 4);
  const attempt = store.resumeRun('r', 2);
  assert.equal(attempt, 1);
  // the training loop says the same again: once is enough
  store.append({ kind: 'resumed', runId: 'r', fromStep: 2, attempt });
  assert.deepEqual(stepsOf(store), [1, 2]);
  assert.deepEqual(stepsOf(store, true), [1, 2, 3, 4]);
  assert.throws(() => store.readStep('r', 4), withCode('not-found', /no step 4/));
  assert.deepEqual(store.readStep('r', 4, 0), before, 'the superseded attempt can still be read');
  assert.deepEqual(
    store.evaluations('r').map(({ point }) => point.step),
    [2],
  );
  assert.equal(store.trajectories('r', {}, { limit: 1000 }).rows.length, 32);
  assert.equal(
    store.trajectories('r', { superseded: true }, { limit: 1000 }).rows.filter((r) => r.superseded).length,
    32,
  );
  assert.deepEqual([store.statistics('r').trajectories, store.statistics('r').supersededTrajectories], [32, 32]);
  store.append(stepEvent('r', 3));
  assert.deepEqual(
    store.steps('r', { superseded: true }).map(({ step, attempt, supersededBy }) => [step, attempt, supersededBy]),
    [
      [1, 0, null],
      [2, 0, null],
      [3, 0, 1],
      [4, 0, 1],
      [3, 1, null],
    ],
  );
  // a second resume from further back supersedes rows of both attempts
  assert.equal(store.resumeRun('r', 0), 2);
  assert.deepEqual(stepsOf(store), []);
  assert.deepEqual(
    store.getRun('r').attempts.map(({ attempt, fromStep }) => [attempt, fromStep]),
    [
      [0, 0],
      [1, 2],
      [2, 0],
    ],
  );
  assert.throws(
    () => store.append({ kind: 'resumed', runId: 'r', fromStep: 0, attempt: 7 }),
    withCode('store', /attempt 7, but its next attempt is 3/),
  );
});

test('what cannot be true is refused and leaves nothing behind: a step twice, a run twice, a run that is not there, a score of NaN', () => {
  const store = newStore();
  store.append(started('r'));
  store.append(stepEvent('r', 1));
  assert.throws(() => store.append(stepEvent('r', 1)), /step 1 comes after step 1/);
  assert.throws(() => store.append(started('r')), withCode('store', /already has a run r/));
  assert.throws(() => store.append(stepEvent('q', 1)), withCode('not-found', /no run q/));
  const broken = stepEvent('r', 2);
  broken.groups[3].trajectories[3].advantage = Number.NaN;
  assert.throws(() => store.append(broken), /not finite/);
  const foreign = stepEvent('r', 2);
  foreign.groups[0].trajectories[0].problemId = 'another';
  assert.throws(() => store.append(foreign), /in the group of/);
  assert.deepEqual(stepsOf(store), [1]);
  assert.equal(store.statistics('r').trajectories, 16);
  const db = raw(store);
  for (const table of ['trajectories', 'trajectory_search']) {
    assert.equal(db.prepare(`SELECT count(*) AS n FROM ${table}`).pluck().get(), 16, table);
  }
  db.close();
  store.append(stepEvent('r', 2));
});

test('a full disk is an error that says so, leaves no half step, and the run goes on when there is space again', () => {
  const path = databasePath(mkdtempSync(join(root, 'data-')));
  const db = openDatabase(path, 'write');
  migrate(db, path);
  const writer = eventWriter(db);
  writer.append(started('r'));
  writer.append(stepEvent('r', 1));
  // SQLite's own picture of a full disk: the file may not grow any further
  const grow = db.pragma('max_page_count', { simple: true }) as number;
  for (let spare = 0; spare < 12; spare += 3) {
    db.pragma(`max_page_count = ${Number(db.pragma('page_count', { simple: true })) + spare}`);
    assert.throws(
      () => explainFailures(path, () => writer.append(stepEvent('r', 2, 32, 8))),
      withCode('disk', /disk is full: .*paretune\.db/),
    );
    assert.deepEqual(db.prepare('SELECT count(*) FROM trajectories').pluck().get(), 16);
    assert.deepEqual(db.prepare('SELECT count(*) FROM trajectory_search').pluck().get(), 16);
  }
  db.pragma(`max_page_count = ${grow}`);
  writer.append(stepEvent('r', 2, 32, 8));
  assert.equal(db.pragma('integrity_check', { simple: true }), 'ok');
  assert.deepEqual(readersOf(db, path).readStep('r', 2), stepEvent('r', 2, 32, 8).groups);
  db.close();
});

test('a checkpoint empties the write-ahead log, and a reader in mid-query delays it neither for long nor for ever', () => {
  const store = newStore();
  const log = () => statSync(`${databasePath(store.dataFolder)}-wal`).size;
  store.append(started('r'));
  store.append(stepEvent('r', 1));
  assert.ok(log() > 0);
  const reader = raw(store);
  const open = reader.prepare('SELECT trajectory_key FROM trajectories').iterate();
  open.next();
  store.append(stepEvent('r', 2));
  const start = performance.now();
  store.append(checkpointEvent('r', 2));
  assert.ok(performance.now() - start < 1000);
  assert.ok(log() > 0, 'the reader still needs it');
  open.return?.();
  store.append(checkpointEvent('r', 2));
  assert.equal(log(), 0);
  assert.equal(reader.prepare('SELECT count(*) FROM checkpoints').pluck().get(), 2);
  reader.close();
});

test('deleting a run removes every row of it and nothing of another', () => {
  const store = newStore();
  for (const run of ['gone', 'kept']) {
    store.append(started(run));
    store.append(stepEvent(run, 1));
    store.append(evaluated(run, 1, 0.5, 1));
    store.append(checkpointEvent(run, 1));
    store.append({ kind: 'notice', runId: run, step: 1, level: 'info', code: 'x', message: 'y' });
    store.addArtifact(run, { step: 1, kind: 'genai', path: 'out', bytes: 5, details: { variant: 'fp16' } });
    store.resumeRun(run, 0);
  }
  const db = raw(store);
  const tables = db
    .prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'trajectory_search_%'")
    .pluck()
    .all();
  assert.ok(tables.length >= 12, tables.join());
  const count = () => tables.map((name) => [name, db.prepare(`SELECT count(*) FROM ${name}`).pluck().get() as number]);
  const before = count();
  store.deleteRun('gone');
  assert.deepEqual(
    count(),
    before.map(([name, n]) => [name, Number(n) / 2]),
  );
  assert.ok(before.every(([, n]) => Number(n) > 0));
  assert.deepEqual(db.pragma('foreign_key_check'), []);
  assert.equal(db.pragma('integrity_check', { simple: true }), 'ok');
  db.close();
  assert.deepEqual(store.readStep('kept', 1, 0), stepEvent('kept', 1).groups);
  assert.equal(store.trajectories('kept', { search: 'What', superseded: true }).rows.length, 16);
});

test('a damaged row is one clear error that names the place, and the rest can be read', () => {
  const damage: [string, RegExp, (store: Store) => unknown][] = [
    [
      "UPDATE trajectories SET tokens = x'80' WHERE trajectory_key = 5",
      /step 1 of run r, sample 0: the last integer is cut off/,
      (s) => s.readStep('r', 1),
    ],
    [
      "UPDATE trajectories SET segments = x'070001' WHERE trajectory_key = 5",
      /segment kind 7 is unknown/,
      (s) => s.trajectory(5),
    ],
    [
      "UPDATE trajectories SET logprobs = x'0400' WHERE trajectory_key = 5",
      /a number is cut off/,
      (s) => s.trajectory(5),
    ],
    [
      "UPDATE trajectories SET stop_reason = 'bored' WHERE trajectory_key = 5",
      /trajectory 5/,
      (s) => s.trajectories('r'),
    ],
    [`UPDATE problems SET record = '{"id":1}'`, /a problem of step 1 of run r/, (s) => s.readStep('r', 1)],
    [`UPDATE steps SET metrics = '{"loss":"low"}'`, /step 1 of run r/, (s) => s.steps('r')],
    [`UPDATE runs SET config = json_set(config, '$.groupSize', 0)`, /configuration of run r/, (s) => s.getRun('r')],
    [`UPDATE runs SET facts = '[]'`, /facts of run r/, (s) => s.getRun('r')],
    [`UPDATE evaluations SET breakdown = '{"add":1}'`, /evaluation of step 1/, (s) => s.frontier('r', 'selection')],
    ['DELETE FROM evaluations', /evaluated of step 1 of run r: its row is missing/, (s) => s.events('r')],
  ];
  for (const [sql, message, read] of damage) {
    const store = newStore();
    store.append(started('r'));
    store.append(stepEvent('r', 1));
    store.append(stepEvent('r', 2));
    store.append(evaluated('r', 1, 0.5, 1));
    const db = raw(store);
    assert.ok(db.prepare(sql).run().changes > 0, sql);
    db.close();
    assert.throws(() => read(store), withCode('store', message), sql);
    assert.equal(store.listRuns().length, 1);
    store.close();
  }
});
