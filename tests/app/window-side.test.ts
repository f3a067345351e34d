/** What stands between the window and the engines: feeds, handles, the door, deletions, settings, the window's place. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { deletions, undoSeconds } from '../../src-main/app/deletions.ts';
import { engineLane } from '../../src-main/app/engine-lane.ts';
import { feedSource } from '../../src-main/app/feed.ts';
import { makeHandles } from '../../src-main/app/handles.ts';
import { type Answer, type CallHandlers, channels, type Ipc, openDoor } from '../../src-main/app/relay.ts';
import { openSettings } from '../../src-main/app/settings-file.ts';
import { firstSize, windowPlace } from '../../src-main/app/window-place.ts';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import { calls, type Feed, windowConfigSchema } from '../../src-main/contract/window-api.ts';
import { fakeEngine } from './fake-engine.ts';

const folder = mkdtempSync(join(tmpdir(), 'paretune-app-'));
const event = { kind: 'notice', runId: 'r', step: 0, level: 'info', code: 'c', message: 'm' } as RunEvent;

function feeds() {
  const bunches: Feed[][] = [];
  const waiting: (() => void)[] = [];
  const source = feedSource(
    (bunch) => bunches.push(bunch),
    (done) => waiting.push(done),
  );
  return { source, bunches, flush: () => waiting.splice(0).forEach((done) => void done()) };
}

test('feeds are numbered without a gap, sent in bunches, and a snapshot knows the last number', () => {
  const { source, bunches, flush } = feeds();
  for (let i = 0; i < 100; i++) source.tell({ kind: 'event', event });
  assert.equal(bunches.length, 0);
  flush();
  source.tell({ kind: 'engine', engine: { state: 'ready' } });
  flush();
  assert.equal(bunches.length, 2);
  assert.deepEqual(
    bunches.flat().map(({ sequence }) => sequence),
    Array.from({ length: 101 }, (_, i) => i + 1),
  );
  assert.deepEqual(source.snapshot(), { sequence: 101, engine: { state: 'ready' }, active: null, progress: null });
});

test('of the progress of one bunch only the last is sent', () => {
  const { source, bunches, flush } = feeds();
  for (let done = 0; done < 50; done++)
    source.tell({ kind: 'progress', name: 'tune', progress: { label: 'l', done, total: 50 } });
  flush();
  assert.deepEqual(bunches, [
    [{ sequence: 1, kind: 'progress', name: 'tune', progress: { label: 'l', done: 49, total: 50 } }],
  ]);
  assert.equal(source.snapshot().progress?.done, 49);
});

test('a window that was not served for long is told to read anew, not handed thousands', () => {
  const { source, bunches, flush } = feeds();
  for (let i = 0; i < 2001; i++) source.tell({ kind: 'event', event });
  flush();
  assert.deepEqual(bunches, [[{ sequence: 2001, kind: 'snapshot-needed' }]]);
});

test('paths become handles in the fields that hold paths, and come back; texts of others stay', () => {
  const handles = makeHandles();
  const config = {
    model: '/home/u/models/m',
    tasks: ['arithmetic', '/home/u/q.jsonl'],
    taskOptions: { corpus: '', report: '' },
  };
  const told = handles.closed({ config, answer: '/not/a/field', artifacts: [{ path: '/home/u/out' }] });
  assert.doesNotMatch(JSON.stringify(told), /home/);
  assert.match(told.config.tasks[1], /^handle:[0-9a-f-]{36}\/q\.jsonl$/);
  assert.equal(told.config.tasks[0], 'arithmetic');
  assert.equal(told.answer, '/not/a/field');
  assert.deepEqual(handles.opened(told.config), config);
  assert.equal(handles.give('/home/u/q.jsonl'), told.config.tasks[1]);
  // what a model gave a tool stays its own words
  const said = { messages: [{ toolCalls: [{ name: 'read', arguments: { path: '/home/u/x' } }] }] };
  assert.deepEqual([handles.closed(said), handles.opened(said)], [said, said]);
  assert.throws(() => handles.opened({ to: 'handle:made-up/x' }), { code: 'not-found' });
  // what the window itself had kept is no way to a handle
  const settings = { kept: { draft: { file: '/etc/passwd', path: '/etc/hosts' } } };
  assert.deepEqual(handles.closed(settings), settings);
});

test('a configuration of the window holds no path, and one that the engine told can be given back', () => {
  const handles = makeHandles();
  const good = { model: 'starter:over-user', tasks: ['arithmetic'] };
  const whole = windowConfigSchema.parse(good);
  assert.deepEqual(windowConfigSchema.parse(whole), whole);
  assert.deepEqual(windowConfigSchema.parse({ ...whole, tasks: [handles.give('/q.jsonl')] }).tasks.length, 1);
  for (const bad of ['/etc/passwd', '../x', 'C:\\x', './q.jsonl', 'q.jsonl']) {
    assert.equal(windowConfigSchema.safeParse({ ...good, tasks: [bad] }).success, false, bad);
    assert.equal(windowConfigSchema.safeParse({ ...good, model: bad }).success, false, bad);
  }
});

function door(handlers: Partial<CallHandlers>) {
  const listeners = new Map<string, Parameters<Ipc['handle']>[1]>();
  openDoor(
    { handle: (channel, listener) => void listeners.set(channel, listener) },
    handlers as CallHandlers,
    (path) => ({ handle: 'handle:1/x', name: path, isFolder: false }),
    makeHandles({ home: '/home/user', folders: () => ['/srv/data of mine/paretune'] }),
  );
  const own = { url: 'app://paretune/index.html', parent: null };
  return (channel: string, args: unknown[], senderFrame: { url: string; parent: unknown } | null = own) =>
    listeners.get(channel)!({ senderFrame }, ...args) as Promise<Answer>;
}

test('the door answers only own pages, known calls and payloads that fit', async () => {
  let asked = 0;
  const ask = door({
    runs: async () => {
      asked++;
      return { runs: [] };
    },
  });
  assert.deepEqual(await ask(channels.call, ['runs', {}]), { ok: true, value: { runs: [] } });
  for (const frame of [null, { url: 'https://example.com', parent: null }, { url: 'app://paretune/', parent: {} }]) {
    assert.equal((await ask(channels.call, ['runs', {}], frame)).ok, false);
  }
  for (const args of [['runs', { more: 1 }], ['runs', null], ['toString', {}], ['__proto__', {}], [7, {}], []]) {
    assert.equal((await ask(channels.call, args)).ok, false, JSON.stringify(args));
  }
  assert.equal(asked, 1);
});

test('errors cross as records, without the home folder', async () => {
  const ask = door({
    runs: () => Promise.reject({ code: 'disk', message: 'no space in /home/user/x', hint: 'look at /home/user' }),
    doctor: () => Promise.reject(new TypeError('ours')),
  });
  assert.deepEqual(await ask(channels.call, ['runs', {}]), {
    ok: false,
    error: { code: 'disk', message: 'no space in ~/x', hint: 'look at ~' },
  });
  const fault = await ask(channels.call, ['doctor', {}]);
  assert.ok(!fault.ok && fault.error.code === 'internal' && fault.error.message === 'ours');
});

test('no answer, error or feed names a folder from the root: sentences name files, words of a model stay theirs', async () => {
  const handles = makeHandles({ home: '/home/user', folders: () => ['/srv/data of mine/paretune'] });
  handles.give('/mnt/big disk/my model');
  const told = (message: string) => handles.closed({ message }).message;
  for (const [text, shown] of [
    ['/mnt/big disk/my model/config.json is not valid JSON.', 'my model/config.json is not valid JSON.'],
    ['/srv/data of mine/paretune/models/a has no tokenizer.', 'paretune/models/a has no tokenizer.'],
    ['Cannot open "/opt/x/model.safetensors": truncated', 'Cannot open "model.safetensors": truncated'],
    ['(/opt/a/b.ts:3:4), C:\\Users\\u\\m.json, \\\\host\\share\\q.jsonl.', '(b.ts:3:4), m.json, q.jsonl.'],
    ['file:///usr/lib/x.js fails', 'x.js fails'],
    ['no space in /home/user/x', 'no space in ~/x'],
    ['1.9 s/step and /search, see https://example.org/a/b', '1.9 s/step and /search, see https://example.org/a/b'],
  ])
    assert.equal(told(text), shown);
  const call = { name: 'read', arguments: { path: '/etc/hosts', message: '/a/b' }, output: '/etc/hosts' };
  const chat = { messages: [{ role: 'user', content: 'x', path: '/a/b' }], answer: '/a/b', toolCalls: [call] };
  assert.deepEqual(handles.closed(chat), chat);
  assert.equal(handles.closed(chat), chat, 'what does not change is not copied');
  const row = { problem: '/opt/a/b is none', errors: ['line 1: /opt/a/b'], points: [{ cost: 1 }] };
  assert.deepEqual(handles.closed(row), { problem: 'b is none', errors: ['line 1: b'], points: [{ cost: 1 }] });

  const ask = door({
    models: async () => ({ models: [{ name: 'imported:a', problem: '/opt/models/a has no config.json' }] }) as never,
    doctor: () => Promise.reject({ code: 'internal', message: 'x in /opt/a/b\n    at /opt/c.ts:1', hint: '' }),
  });
  assert.doesNotMatch(JSON.stringify(await ask(channels.call, ['models', {}])), /opt/);
  const log = console.error;
  console.error = () => {};
  const fault = await ask(channels.call, ['doctor', {}]);
  console.error = log;
  assert.ok(!fault.ok);
  assert.equal(fault.error.message, 'x in b');
});

test('what is dropped is a path of this machine', async () => {
  const ask = door({});
  assert.equal((await ask(channels.dropped, ['/home/user/m'])).ok, true);
  for (const path of ['', 'relative', 7, null, undefined])
    assert.equal((await ask(channels.dropped, [path])).ok, false);
});

test('no payload may hold what the contract does not name', () => {
  for (const [name, schema] of Object.entries(calls)) {
    assert.equal(schema.safeParse({ ' unknown': 1 }).success, false, name);
  }
  assert.equal(calls.saveFile.safeParse({ name: '../x.csv', data: '' }).success, false);
  assert.equal(calls.saveFile.safeParse({ name: 'x.sh', data: '' }).success, false);
  assert.equal(calls.saveFile.safeParse({ name: 'run 1.csv', data: 'a' }).success, true);
});

test('a deleted run can come back for a while, then it is removed for good, also after a restart', async () => {
  const settings = openSettings(join(folder, 'deletions.json'));
  const engine = fakeEngine();
  const lane = engineLane({ start: () => engine, silenceMs: 60_000 });
  const waiting: { done: () => void; ms: number }[] = [];
  const later = (done: () => void, ms: number) => void waiting.push({ done, ms });
  const runs = deletions(lane, settings, later);
  assert.equal(runs.mark('a'), undoSeconds);
  runs.undo('a');
  runs.mark('b');
  assert.deepEqual([runs.pending('a'), runs.pending('b')], [false, true]);
  assert.throws(() => runs.undo('a'), { code: 'not-found' });
  for (const { done } of waiting.splice(0)) done();
  assert.deepEqual(
    engine.sent.map((request) => request.kind === 'command' && request.payload),
    [{ run: 'b' }],
  );
  assert.throws(() => runs.undo('b'), { code: 'not-found' }, 'it is being removed');
  // a run holds the database: it stays out of sight and is tried again
  engine.say({ kind: 'error', id: 0, error: { code: 'store', message: 'locked', hint: '' } });
  await new Promise(setImmediate);
  assert.equal(runs.pending('b'), true);
  assert.equal(waiting.length, 1);
  const again = deletions(lane, openSettings(join(folder, 'deletions.json')), later);
  assert.equal(again.pending('b'), true);
  const finished = again.finish();
  engine.say({ kind: 'result', id: 1, result: null });
  await finished;
  assert.equal(again.pending('b'), false);
  assert.deepEqual(openSettings(join(folder, 'deletions.json')).get().deletedRuns, []);
  await lane.end(0);
});

test('settings are kept, forgotten when asked, and a damaged file is put aside', () => {
  const path = join(folder, 'settings.json');
  openSettings(path).set({ theme: 'dark' });
  const settings = openSettings(path);
  assert.equal(settings.get().theme, 'dark');
  settings.keep('draft', { steps: 3 });
  assert.deepEqual(openSettings(path).get().kept, { draft: { steps: 3 } });
  settings.keep('draft', null);
  assert.deepEqual(openSettings(path).get().kept, {});
  writeFileSync(path, '{"theme": "purple"');
  assert.equal(openSettings(path).get().theme, 'system');
  assert.match(readFileSync(`${path}.damaged`, 'utf8'), /purple/);
});

test('the window opens where it was, as long as its title bar is on a screen', () => {
  const screens = [{ x: 0, y: 0, width: 1920, height: 1080 }];
  const saved = { x: 100, y: 50, width: 1000, height: 700, maximized: false };
  assert.deepEqual(windowPlace(null, screens), firstSize);
  assert.deepEqual(windowPlace(saved, screens), { x: 100, y: 50, width: 1000, height: 700 });
  for (const away of [{ x: 1900 }, { x: -950 }, { y: 1070 }, { y: -600 }, { x: 5000, y: 5000 }]) {
    assert.deepEqual(windowPlace({ ...saved, ...away }, screens), { width: 1000, height: 700 }, JSON.stringify(away));
  }
});
