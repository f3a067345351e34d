/** Moving the data folder: whole or not at all, whatever stops it, and nothing else at the data meanwhile. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunKeeper } from '../../src-main/app/active-run.ts';
import type { CallProgress } from '../../src-main/contract/window-api.ts';
import { callHandlers, type Desktop } from '../../src-main/app/calls.ts';
import { copyData, removeUnfinished } from '../../src-main/app/data-folder.ts';
import type { Deletions } from '../../src-main/app/deletions.ts';
import type { Lane } from '../../src-main/app/engine-lane.ts';
import { feedSource, type News } from '../../src-main/app/feed.ts';
import { makeHandles } from '../../src-main/app/handles.ts';
import { openSettings } from '../../src-main/app/settings-file.ts';

const scratch = mkdtempSync(join(tmpdir(), 'paretune-move-'));
after(() => rmSync(scratch, { recursive: true, maxRetries: 5, retryDelay: 200 }));
let folders = 0;
function newFolder(): string {
  const folder = join(scratch, String(folders++));
  mkdirSync(folder);
  return folder;
}

/** Ten files of a few megabytes in two folders. */
function dataFolder(): string {
  const folder = join(newFolder(), 'paretune');
  mkdirSync(join(folder, 'runs', 'a'), { recursive: true });
  for (let i = 0; i < 10; i++) {
    writeFileSync(join(folder, i % 2 ? 'runs/a' : '.', `file ${i}`), Buffer.alloc(1_500_000 + i, i));
  }
  return folder;
}

function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path.slice(folder.length), readFileSync(path, 'base64')];
    }),
  );
}

const quiet = { progress() {} };

test('all data are copied under the same name, with progress to the last byte, and the old folder stays', async () => {
  const from = dataFolder();
  const to = newFolder();
  const seen: number[] = [];
  const target = await copyData(from, to, { progress: ({ done, total }) => void seen.push(done / total) });
  assert.equal(target, join(to, 'paretune'));
  assert.deepEqual(contents(target), contents(from));
  assert.deepEqual(readdirSync(to), ['paretune']);
  assert.deepEqual(
    seen,
    [...seen].sort((a, b) => a - b),
  );
  assert.equal(seen.at(-1), 1);
  await assert.rejects(copyData(from, to, quiet), { code: 'usage' }, 'never over something');
  await assert.rejects(copyData(from, join(from, 'runs'), quiet), { code: 'usage' }, 'never into itself');
  assert.equal(await copyData(join(scratch, 'none', 'paretune'), newFolder(), quiet).then(existsSync), true);
});

test('data that another program changes while they are copied stay where they are', async () => {
  const [from, to] = [dataFolder(), newFolder()];
  let wrote = false;
  const progress = ({ done, total }: CallProgress) => {
    if (wrote || total === null || done < total / 4) return;
    wrote = true;
    writeFileSync(join(from, 'late'), 'x');
  };
  await assert.rejects(copyData(from, to, { progress }), { code: 'usage', message: /changed while they were copied/ });
  assert.deepEqual([wrote, readdirSync(to)], [true, []]);
});

test('a copy that is cancelled leaves nothing behind and nothing lost', async () => {
  const from = dataFolder();
  const before = contents(from);
  for (const until of ['copying', 'comparing']) {
    const to = newFolder();
    const stopping = new AbortController();
    const progress = ({ label }: { label: string }) => void (label === until && stopping.abort());
    await assert.rejects(copyData(from, to, { progress, signal: stopping.signal }), { code: 'interrupted' }, until);
    assert.deepEqual(readdirSync(to), [], until);
  }
  assert.deepEqual(contents(from), before);
});

test('a copy that is killed half way loses nothing, is no data folder, and is cleared away', async () => {
  const from = dataFolder();
  const before = contents(from);
  const to = newFolder();
  const child = spawn(process.execPath, [join(import.meta.dirname, 'copy-child.ts'), from, to]);
  await new Promise((done) => child.stdout.once('data', done));
  child.kill('SIGKILL');
  await new Promise((done) => child.once('exit', done));
  assert.deepEqual(contents(from), before);
  assert.deepEqual(readdirSync(to), ['paretune.moving'], 'killed before its end');
  await removeUnfinished(join(to, 'paretune.moving'));
  assert.deepEqual(readdirSync(to), []);
  // a folder of the user's own is not taken for one
  mkdirSync(join(to, 'paretune.moving'));
  await removeUnfinished(join(to, 'paretune.moving'));
  await assert.rejects(copyData(from, to, quiet), { code: 'usage' });
  assert.deepEqual(readdirSync(to), ['paretune.moving']);
});

function app(more: Partial<Desktop> = {}) {
  const settings = openSettings(join(newFolder(), 'settings.json'));
  const original = dataFolder();
  const told: News[] = [];
  const ends: string[] = [];
  let status = 'finished';
  const setStatus = (next: string) => {
    status = next;
  };
  const lane = (name: string): Lane => ({
    ask: () => ({ result: Promise.resolve({ runs: [{ runId: 'r', status }] }), stop() {} }),
    alive: () => true,
    wake: () => void ends.push(`${name} wakes`),
    end: async () => void ends.push(`${name} ends`),
  });
  const handles = makeHandles();
  const feed = feedSource(
    () => {},
    () => {},
  );
  const answers = callHandlers({
    computing: lane('computing'),
    reading: lane('reading'),
    runs: { busy: () => false, active: () => null } as RunKeeper,
    deletions: { finish: async () => {}, pending: () => false } as unknown as Deletions,
    feed: { ...feed, tell: (news) => void told.push(news) },
    handles,
    settings,
    desktop: {
      dataFolder: () => settings.get().dataFolder ?? original,
      dataFolderFixed: false,
      homeFolder: '/nowhere',
      ...more,
    } as Desktop,
  });
  return { answers, settings, handles, original, told, ends, setStatus };
}

test('a move ends the engines, tells how far it is, refuses what reads or writes data, and then uses the new folder', async () => {
  const { answers, settings, handles, told, ends } = app();
  const to = newFolder();
  const moved = answers.moveData({ to: handles.give(to) });
  while (settings.get().unfinishedMove === null) await sleep(1);
  assert.equal(settings.get().unfinishedMove, join(to, 'paretune.moving'));
  await assert.rejects(answers.runs({}), { code: 'usage', message: /being moved/ });
  await assert.rejects(answers.moveData({ to: handles.give(newFolder()) }), { code: 'usage' });
  assert.equal((await answers.settings({})).dataFolderFixed, false);
  assert.deepEqual(await moved, { dataFolder: join(to, 'paretune') });
  const { dataFolder, unfinishedMove } = settings.get();
  assert.deepEqual([dataFolder, unfinishedMove], [join(to, 'paretune'), null]);
  // again after the copy: an engine that was woken meanwhile works on the old folder
  const both = ['computing ends', 'reading ends'];
  assert.deepEqual(ends, [...both, ...both, 'computing wakes']);
  assert.ok(told.some((news) => news.kind === 'progress' && news.name === 'moveData'));
  assert.equal((await answers.runs({})).runs.length, 1);
});

test('a move that is cancelled keeps the old folder and wakes the engine', async () => {
  const { answers, settings, handles, ends } = app();
  const to = newFolder();
  const moved = answers.moveData({ to: handles.give(to) });
  while (settings.get().unfinishedMove === null) await sleep(1);
  await answers.cancel({ name: 'moveData' });
  await assert.rejects(moved, { code: 'interrupted' });
  assert.deepEqual([settings.get().dataFolder, settings.get().unfinishedMove], [null, null]);
  assert.deepEqual(readdirSync(to), []);
  assert.equal(ends.at(-1), 'computing wakes');
});

test('a folder that PARETUNE_HOME names is not moved, nor one in which a run is written', async () => {
  const fixed = app({ dataFolderFixed: true });
  const refused = fixed.answers.moveData({ to: fixed.handles.give(newFolder()) });
  await assert.rejects(refused, { code: 'usage', message: /PARETUNE_HOME/ });
  assert.equal((await fixed.answers.settings({})).dataFolderFixed, true);
  const writing = app();
  writing.setStatus('running');
  await assert.rejects(writing.answers.moveData({ to: writing.handles.give(newFolder()) }), {
    message: /run is active/,
  });
  assert.deepEqual([...fixed.ends, ...writing.ends], []);
});
