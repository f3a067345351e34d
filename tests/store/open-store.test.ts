import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { migrations, schemaVersion } from '../../src-main/store/migrate.ts';
import { databasePath, openStore } from '../../src-main/store/open-store.ts';
import { currentWriter } from '../../src-main/store/writer-lock.ts';
import { buildVersion1 } from './fixture-v1.ts';
import { checkpointEvent, started, stepEvent } from './samples.ts';

const root = mkdtempSync(join(tmpdir(), 'paretune-open-'));
after(() => rmSync(root, { recursive: true }));
const newFolder = () => mkdtempSync(join(root, 'data-'));

const withCode = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ParetuneError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  assert.notEqual(error.hint, '');
  return true;
};

function folderWithRun(): string {
  const folder = newFolder();
  const store = openStore(folder, { mode: 'write' });
  store.append(started('r'));
  for (let step = 1; step <= 6; step++) store.append(stepEvent('r', step, 8, 8));
  store.append(checkpointEvent('r', 6));
  store.close();
  return folder;
}

test('a new folder gets a store with our marks: application id, schema version, strict tables, write-ahead log', () => {
  const folder = join(newFolder(), 'deep', 'down');
  const store = openStore(folder, { mode: 'write' });
  const db = new Database(databasePath(folder), { readonly: true });
  assert.equal(db.pragma('application_id', { simple: true }), 0x5054554e);
  assert.equal(db.pragma('user_version', { simple: true }), schemaVersion);
  assert.equal(db.pragma('journal_mode', { simple: true }), 'wal');
  const loose = db
    .prepare(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict AND name NOT LIKE 'sqlite%'",
    )
    .pluck()
    .all();
  assert.deepEqual(loose, []);
  db.close();
  assert.deepEqual(store.listRuns(), []);
  store.close();
  store.close();
});

test('the migrations are numbered without gaps, and the first one is what it was', () => {
  assert.deepEqual(
    migrations.map(({ version }) => version),
    migrations.map((_, i) => i + 1),
  );
  const db = new Database(':memory:');
  migrations[0].up(db);
  const schema = db
    .prepare('SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name')
    .pluck()
    .all()
    .join('\n');
  db.close();
  assert.equal(
    createHash('sha256').update(schema).digest('hex'),
    '2c194e2af87e1ff98992aa8137dfab782b0aa6eb24507c51c3dab8f6e16719fc',
    'a migration is never edited: add the next one',
  );
});

test('a database of version 1 is copied, brought up to date and holds what it held', () => {
  const folder = newFolder();
  buildVersion1(databasePath(folder));
  assert.throws(() => openStore(folder, { mode: 'read' }), withCode('store', /old schema 1; this version reads 2/));
  const store = openStore(folder, { mode: 'write' });
  const [{ problem, trajectories }] = store.readStep('old', 1);
  assert.equal(problem.id, 'p1');
  assert.deepEqual(trajectories, [
    {
      problemId: 'p1',
      sample: 0,
      tokens: [1, 2, 300, 4, 5],
      segments: [
        { kind: 'prompt', start: 0, end: 2 },
        { kind: 'model', start: 2, end: 5 },
      ],
      sampledLogprobs: [-1, -2, -3],
      // biome-ignore format: one row
      toolCalls: [{ name: 'calculator', arguments: { expression: '2+2' }, output: 'result 4', status: 'ok', price: 1, milliseconds: 0.25, resultStart: 3 }],
      stopReason: 'answer',
      answer: 'four it is',
      weightsVersion: 0,
      success: true,
      cost: 1,
      rewards: [1, 0.5],
      paretoRank: 1,
      advantage: 0.5,
    },
    {
      problemId: 'p1',
      sample: 1,
      tokens: [1, 2, 7],
      segments: [
        { kind: 'prompt', start: 0, end: 2 },
        { kind: 'model', start: 2, end: 3 },
      ],
      sampledLogprobs: [-1],
      toolCalls: [],
      stopReason: 'time-limit',
      answer: '',
      weightsVersion: 0,
      success: null,
      cost: 0,
      rewards: [0, 0],
      paretoRank: 2,
      advantage: -0.5,
    },
  ]);
  const found = (search: string) => store.trajectories('old', { search }).rows.map(({ sample }) => sample);
  assert.deepEqual(found('plus'), [1, 0], 'the search index was filled from the old rows: the prompt');
  assert.deepEqual(found('four'), [0], 'the answer');
  assert.deepEqual(store.trajectories('old', { search: 'four' }).rows[0].rewards, [1, 0.5], 'a row has its rewards');
  assert.deepEqual(found('result'), [0], 'the tool output');
  store.append(started('new'));
  store.close();
  const backup = new Database(`${databasePath(folder)}.backup-v1`, { readonly: true });
  assert.equal(backup.pragma('user_version', { simple: true }), 1);
  assert.equal(backup.pragma('integrity_check', { simple: true }), 'ok');
  assert.equal(backup.prepare('SELECT count(*) FROM trajectories').pluck().get(), 2);
  backup.close();
});

test('an upgrade that fails leaves the old database as it was, and the next try succeeds', () => {
  const folder = newFolder();
  buildVersion1(databasePath(folder));
  // a table in the way of the second migration stops it half-way through
  const db = new Database(databasePath(folder));
  db.exec('CREATE TABLE trajectory_search (x TEXT) STRICT');
  db.close();
  assert.throws(() => openStore(folder, { mode: 'write' }));
  const again = new Database(databasePath(folder));
  assert.equal(again.pragma('user_version', { simple: true }), 1);
  again.exec('DROP TABLE trajectory_search');
  again.close();
  const store = openStore(folder, { mode: 'write' });
  assert.equal(store.readStep('old', 1).length, 1);
  store.close();
});

test('missing, newer, foreign and no database at all are told apart', () => {
  const folder = newFolder();
  const path = databasePath(folder);
  assert.throws(() => openStore(folder, { mode: 'read' }), withCode('not-found', /no database/));
  const change = (sql: string) => {
    const db = new Database(path);
    db.exec(sql);
    db.close();
  };
  openStore(folder, { mode: 'write' }).close();
  change('PRAGMA user_version = 3');
  for (const mode of ['write', 'read'] as const) {
    assert.throws(() => openStore(folder, { mode }), withCode('store', /schema 3; this version knows 1 to 2/));
  }
  change(`PRAGMA user_version = ${schemaVersion}; PRAGMA application_id = 7`);
  assert.throws(() => openStore(folder, { mode: 'write' }), withCode('store', /another program.*id 7/));
  rmSync(path);
  change('CREATE TABLE notes (x)');
  assert.throws(() => openStore(folder, { mode: 'write' }), withCode('store', /another program/));
  writeFileSync(path, 'Dear diary, today I ran out of disk space again.');
  for (const mode of ['write', 'read'] as const) {
    assert.throws(() => openStore(folder, { mode }), withCode('store', /not a database/));
  }
  assert.match(readFileSync(path, 'utf8'), /^Dear diary/, 'and it was not touched');
  writeFileSync(path, '');
  openStore(folder, { mode: 'write' }).close();
});

test('damage is found after a crash and named; what is whole can still be read', () => {
  const folder = folderWithRun();
  const path = databasePath(folder);
  const pages = statSync(path).size / 4096;
  assert.ok(pages > 40, `${pages} pages`);
  const file = openSync(path, 'r+');
  for (let page = 20; page < pages; page += 3) writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, page * 4096);
  // what a killed writer leaves: its signature
  writeFileSync(join(folder, 'writer.json'), JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), startedAtMs: 1 }));
  assert.throws(() => openStore(folder, { mode: 'write' }), withCode('store', /damaged: .*paretune\.db/));
  assert.throws(() => openStore(folder, { mode: 'write' }), withCode('store', /damaged/), 'and it stays refused');
  const reader = openStore(folder, { mode: 'read' });
  assert.equal(reader.getRun('r').config.method, 'hvg');
  assert.throws(
    () => {
      for (let step = 1; step <= 6; step++) reader.readStep('r', step);
    },
    withCode('store', /damaged/),
  );
  reader.close();
});

test('a file that was cut short is damaged, not empty', () => {
  const folder = folderWithRun();
  const bytes = readFileSync(databasePath(folder));
  writeFileSync(databasePath(folder), bytes.subarray(0, bytes.length / 2));
  writeFileSync(join(folder, 'writer.json'), '{}');
  assert.throws(() => openStore(folder, { mode: 'write' }), withCode('store', /damaged/));
});

test('a second opener in the same process may read, is told who writes, and sees what is committed', () => {
  const folder = newFolder();
  const writer = openStore(folder, { mode: 'write' });
  writer.append(started('r'));
  const second = openStore(folder, { mode: 'write' });
  assert.equal(second.mode, 'read');
  assert.equal(second.writer()?.pid, process.pid);
  assert.equal(writer.writer(), null);
  for (const write of [
    () => second.append(stepEvent('r', 1)),
    () => second.resumeRun('r', 0),
    () => second.deleteRun('r'),
    () => second.addArtifact('r', { step: 0, kind: 'x', path: 'x', bytes: 0, details: null }),
  ]) {
    assert.throws(write, withCode('store', new RegExp(`process ${process.pid} on .*, writes it`)));
  }
  writer.append(stepEvent('r', 1));
  assert.equal(second.getRun('r').step, 1);
  writer.close();
  assert.equal(second.writer(), null);
  const third = openStore(folder, { mode: 'write' });
  assert.equal(third.mode, 'write');
  third.close();
  second.close();
});

test('a run that was cut off is marked as stopped when the folder is next opened for writing', () => {
  const folder = newFolder();
  const store = openStore(folder, { mode: 'write' });
  store.append(started('r'));
  store.append(started('done'));
  store.append({ kind: 'ended', runId: 'done', step: 0, status: 'finished', reason: 'all steps done' });
  assert.equal(store.getRun('r').status, 'running');
  store.close();
  const again = openStore(folder, { mode: 'write' });
  assert.deepEqual([again.getRun('r').status, again.getRun('done').status], ['stopped', 'finished']);
  assert.match(again.getRun('r').reason, /interrupted/);
  again.resumeRun('r', 0);
  assert.equal(again.getRun('r').status, 'running');
  again.close();
});

/** A process that opens the folder for writing, says in which mode it is, and waits. */
async function holder(folder: string): Promise<{ child: ChildProcess; mode: string }> {
  const source = `
    import { openStore } from ${JSON.stringify(new URL('../../src-main/store/open-store.ts', import.meta.url).href)};
    const store = openStore(process.argv[1], { mode: 'write' });
    console.log(store.mode);
    setInterval(() => store.mode, 1000); // a store that nothing holds is collected, and its lock with it
  `;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', source, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, mode: line.toString().trim() };
}

test('the lock of a living process holds, and that of a killed one is taken over at once', async () => {
  const folder = newFolder();
  mkdirSync(folder, { recursive: true });
  const first = await holder(folder);
  assert.equal(first.mode, 'write');
  const mine = openStore(folder, { mode: 'write' });
  assert.equal(mine.mode, 'read');
  assert.deepEqual([mine.writer()?.pid, mine.writer()?.host], [first.child.pid, hostname()]);
  mine.close();
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  assert.ok(existsSync(join(folder, 'writer.json')), 'the signature of the dead stays');
  assert.equal(currentWriter(folder), null, 'but counts as nobody');
  const after = openStore(folder, { mode: 'write' });
  assert.equal(after.mode, 'write');
  assert.equal(currentWriter(folder)?.pid, process.pid);
  after.close();
  assert.ok(!existsSync(join(folder, 'writer.json')));
});

test('of several processes that open a folder at once exactly one writes', async () => {
  const folder = newFolder();
  // the file must be there for those that may only read
  openStore(folder, { mode: 'write' }).close();
  const holders = await Promise.all([holder(folder), holder(folder), holder(folder)]);
  const modes = holders.map(({ mode }) => mode).sort();
  for (const { child } of holders) child.kill('SIGKILL');
  await Promise.all(holders.map(({ child }) => once(child, 'exit')));
  assert.deepEqual(modes, ['read', 'read', 'write']);
});
