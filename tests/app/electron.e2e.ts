/**
 * The built app in a real Electron, driven by Playwright: window, isolation, protocol, bridge, a short run, the engine's
 * death and return, export through a stubbed dialog, and the way out. Needs PARETUNE_ELECTRON, the path of an Electron
 * binary; PARETUNE_APP names another folder of the built app.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import type { ElectronApplication, Page } from 'playwright-core';
import type { CallName, CallPayload, CallResult, Feed, WindowApi } from '../../src-main/contract/window-api.ts';
import { serverFile } from '../tools/mcp-server.ts';

// what the functions that run in the page use of it
declare const document: { title: string };
declare const location: { href: string };
declare const Notification: { requestPermission(): Promise<string> };
declare const open: (address: string) => unknown;

declare global {
  // the page's own globals, inside functions that run there
  var paretune: WindowApi;
  var heard: Feed[];
}

const root = resolve(import.meta.dirname, '../..');
const app = process.env.PARETUNE_APP ?? root;
const electron = process.env.PARETUNE_ELECTRON;
const hasDisplay = process.platform !== 'linux' || process.env.DISPLAY !== undefined || has('Xvfb');
const skip = !electron
  ? 'PARETUNE_ELECTRON does not name an Electron'
  : !hasDisplay
    ? 'there is no display and no Xvfb'
    : false;
const options = { skip, timeout: 180_000 };

function has(program: string): boolean {
  return spawnSync('which', [program]).status === 0;
}

const home = mkdtempSync(join(tmpdir(), 'paretune-app-'));
const dataFolder = join(home, 'data');
let display: ChildProcess | undefined;
let running: ElectronApplication;
let page: Page;

/** Its own display: the tests must not depend on a screen, nor disturb one. */
async function startDisplay(): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  if (process.env.DISPLAY) return process.env.DISPLAY;
  display = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1600x1000x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const [chunk] = (await new Promise((done) => display!.stdio[3]!.once('data', (data) => done([data])))) as [Buffer];
  return `:${chunk.toString().trim()}`;
}

let displayName: string | undefined;

async function start(more: Record<string, string> = {}): Promise<void> {
  const { _electron } = await import('playwright-core');
  const noSandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const env = { ...process.env, PARETUNE_HOME: dataFolder, PARETUNE_NODE: process.execPath, ...more } as Record<
    string,
    string
  >;
  if (displayName !== undefined) env.DISPLAY = displayName;
  delete env.NODE_TEST_CONTEXT;
  running = await _electron.launch({
    executablePath: electron!,
    args: [...noSandbox, `--user-data-dir=${join(home, 'user')}`, app],
    env,
    timeout: 120_000,
  });
  page = await running.firstWindow();
  await page.waitForFunction(() => globalThis.paretune !== undefined);
  await page.evaluate(() => {
    globalThis.heard = [];
    globalThis.paretune.onFeed((feed) => void globalThis.heard.push(feed));
  });
}

function call<N extends CallName>(name: N, payload: CallPayload<N>): Promise<CallResult<N>> {
  return page.evaluate(
    ([name, payload]) => globalThis.paretune.call(name as 'runs', payload as never) as Promise<never>,
    [name, payload] as const,
  );
}

/** What a call is refused with. */
function refusal(name: string, payload: unknown): Promise<unknown> {
  return page.evaluate(
    ([name, payload]) =>
      globalThis.paretune.call(name as 'runs', payload as never).then(
        () => null,
        (error: unknown) => error,
      ),
    [name, payload] as const,
  );
}

/** Waits until a feed with these fields was heard (from the `from`-th on). */
async function hear(kind: Feed['kind'], part: string, from = 0, timeout = 90_000): Promise<Feed> {
  const found = await page.waitForFunction(
    ([kind, part, from]) =>
      globalThis.heard
        .slice(from as number)
        .find((feed) => feed.kind === kind && JSON.stringify(feed).includes(part as string)),
    [kind, part, from] as const,
    { timeout },
  );
  return (await found.jsonValue()) as Feed;
}

const heardSoFar = () => page.evaluate(() => globalThis.heard.length);

/** Process ids of the engines: the loader of an old Electron or the utility processes of a new one, below this app. */
function enginePids(): number[] {
  const { stdout } = spawnSync('ps', ['-e', '-o', 'pid=,args='], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => line.includes(join(app, 'dist', 'engine-process', 'main.js')) && line.includes(dataFolder))
    .map((line) => Number.parseInt(line, 10));
}

before(async () => {
  if (skip) return;
  displayName = await startDisplay();
  await start();
});

after(async () => {
  if (skip) return;
  // an app that never opened must not keep the display, and the test with it
  await Promise.resolve(running as ElectronApplication | undefined)
    .then((app) => app?.close())
    .catch(() => {});
  display?.kill();
  rmSync(home, { recursive: true, force: true });
});

test('the window opens with its title and size, and the menu has its five parts', options, async () => {
  await page.waitForFunction(() => document.title !== '');
  assert.match(await page.title(), /Paretune/);
  const seen = await running.evaluate(({ BrowserWindow, Menu }) => ({
    windows: BrowserWindow.getAllWindows().map((window) => window.getSize()),
    menu: Menu.getApplicationMenu()!.items.map(({ label }) => label),
  }));
  assert.deepEqual(seen.windows, [[1280, 800]]);
  assert.deepEqual(seen.menu.slice(-5), ['File', 'Edit', 'View', 'Run', 'Help']);
});

test('the page has no Node, one frozen bridge, and reaches nothing but the app', options, async () => {
  const seen = await page.evaluate(async () => {
    const failed = (work: Promise<unknown>) =>
      work.then(
        () => false,
        () => true,
      );
    return {
      require: typeof Reflect.get(globalThis, 'require'),
      process: typeof Reflect.get(globalThis, 'process'),
      module: typeof Reflect.get(globalThis, 'module'),
      bridge: Object.keys(globalThis.paretune).sort(),
      frozen: Object.isFrozen(globalThis.paretune),
      address: location.href,
      policy: (await fetch('app://paretune/index.html')).headers.get('content-security-policy'),
      outside: await failed(fetch('https://example.com/')),
      file: await failed(fetch('file:///etc/passwd')),
      escape: (await fetch('app://paretune/%2e%2e/%2e%2e/package.json')).status,
      evaluated: await failed(Promise.resolve().then(() => new Function('return 1')())),
      opened: open('https://example.com/') === null,
      notified: await Notification.requestPermission(),
    };
  });
  assert.equal(seen.require, 'undefined');
  assert.equal(seen.process, 'undefined');
  assert.equal(seen.module, 'undefined');
  assert.deepEqual(seen.bridge, ['call', 'dropped', 'onFeed']);
  assert.equal(seen.frozen, true);
  assert.match(seen.address, /^app:\/\/paretune\/index\.html/);
  assert.match(seen.policy ?? '', /default-src 'none'; script-src 'self'/);
  assert.deepEqual([seen.outside, seen.file, seen.escape, seen.evaluated, seen.opened], [true, true, 404, true, true]);
  assert.equal(seen.notified, 'denied');
});

test(
  'what the window is made with is what the checklist asks for, and its permissions are denied',
  options,
  async () => {
    const made = await running.evaluate(({ BrowserWindow }) => {
      // not in Electron's types, but there: what the window was really given
      const { webContents } = BrowserWindow.getAllWindows()[0];
      return (webContents as unknown as { getLastWebPreferences(): Record<string, unknown> }).getLastWebPreferences();
    });
    const asked = {
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      sandbox: true,
      webSecurity: true,
      webviewTag: false,
      navigateOnDragDrop: false,
    };
    for (const [name, value] of Object.entries(asked)) assert.equal(Boolean(made[name]), value, name);
    for (const name of ['allowRunningInsecureContent', 'experimentalFeatures', 'enableBlinkFeatures'])
      assert.ok(!made[name], `${name}: ${made[name]}`);
    const states = await page.evaluate(async () => {
      const permissions = Reflect.get(navigator, 'permissions') as {
        query(what: { name: string }): Promise<{ state: string }>;
      };
      return Promise.all(
        ['geolocation', 'camera', 'microphone'].map(async (name) => (await permissions.query({ name })).state),
      );
    });
    assert.deepEqual(states, ['denied', 'denied', 'denied']);
  },
);

test('a page that tries to leave stays', options, async () => {
  await page.evaluate(() => {
    location.href = 'https://example.com/';
  });
  await page.waitForTimeout(300);
  assert.match(page.url(), /^app:\/\/paretune\//);
});

test('calls are answered by the engine, and refused as records', options, async () => {
  await page.waitForFunction(
    async () => (await globalThis.paretune.call('snapshot', {})).engine.state === 'ready',
    null,
    {
      timeout: 30_000,
    },
  );
  assert.deepEqual(await call('runs', {}), { runs: [] });
  const { models } = await call('models', {});
  assert.deepEqual(
    models.map(({ name, problem }) => [name, problem]),
    [
      ['starter:over-user', ''],
      ['starter:under-user', ''],
    ],
  );
  assert.equal(((await refusal('run', { nope: 1 })) as { code: string }).code, 'usage');
  assert.equal(((await refusal('readFile', { path: '/etc/passwd' })) as { code: string }).code, 'usage');
  const task = { tasks: ['/etc/passwd'], model: 'starter:over-user' };
  assert.equal(((await refusal('tune', { config: task })) as { code: string }).code, 'usage');
});

const config = {
  model: 'starter:over-user',
  tasks: ['arithmetic'],
  steps: 200,
  problemsPerStep: 2,
  groupSize: 4,
  selectionProblems: 8,
  reportProblems: 8,
  trainProblems: 32,
  evaluation: { everySteps: 50, greedy: false },
  checkpoint: { everySteps: 2, keepLast: 2 },
};

test(
  'a run begins, its points arrive in order, and the engine killed is a state with the step to resume from',
  options,
  async () => {
    const { runId } = await call('tune', { config, name: 'short' });
    assert.equal(runId, 'short');
    await hear('event', '"kind":"evaluated"');
    await hear('event', '"kind":"step","runId":"short","step":5');
    const sequences = await page.evaluate(() => globalThis.heard.map(({ sequence }) => sequence));
    assert.deepEqual(
      sequences,
      sequences.map((_, i) => sequences[0] + i),
      'numbers go up by one',
    );
    const before = await heardSoFar();
    for (const pid of enginePids()) process.kill(pid, 'SIGKILL');
    const gone = await hear('engine', '"state":"gone"', before);
    assert.ok(gone.kind === 'engine' && gone.engine.state === 'gone');
    assert.equal(gone.engine.resume?.runId, 'short');
    assert.ok((gone.engine.resume?.fromStep ?? 0) >= 2, JSON.stringify(gone));
    assert.equal((await call('snapshot', {})).active, null);
    // the window still has its data, though both engines were ended
    assert.equal((await call('runs', {})).runs[0].status, 'stopped');
  },
);

test('the run goes on from there in a new engine, takes new prices, pauses and stops', options, async () => {
  const before = await heardSoFar();
  await call('resume', { run: 'short' });
  await hear('event', '"kind":"resumed"', before);
  await call('setPrices', { prices: { python: 3 } });
  await hear('event', '"kind":"prices"', before);
  await call('pause', {});
  await hear('active', '"phase":"paused"', before);
  const { rows } = await call('steps', { run: 'short' });
  assert.ok(rows.length >= 5);
  await call('stop', {});
  await hear('active', '"active":null', before);
  const { rows: found } = await call('trajectories', { run: 'short', limit: 10 });
  const detail = await call('trajectory', { key: found[0].key });
  assert.equal(detail.tokenTexts?.length, detail.trajectory.tokens.length);
  assert.equal(detail.group.length, 4);
});

test('a model is exported into the folder that a dialog answers, and the window sees no path', options, async () => {
  const folder = join(home, 'exports');
  mkdirSync(folder);
  await running.evaluate(({ dialog }, folder) => {
    dialog.showOpenDialog = () => Promise.resolve({ canceled: false, filePaths: [folder] });
  }, folder);
  const picked = await call('pickFolder', { purpose: 'export' });
  assert.match(picked!.handle, /^handle:[0-9a-f-]{36}\/exports$/);
  // the tests' data folder is named by PARETUNE_HOME
  assert.equal((await call('settings', {})).dataFolderFixed, true);
  const refused = (await refusal('moveData', { to: picked!.handle })) as { message: string };
  assert.match(refused.message, /PARETUNE_HOME/);
  const exported = await call('export', { run: 'short', to: picked!.handle, problems: 8, target: 'transformers.js' });
  assert.ok(readdirSync(folder).length === 1, readdirSync(folder).join());
  assert.ok(existsSync(join(folder, readdirSync(folder)[0], 'config.json')));
  const detail = await call('run', { run: 'short' });
  for (const record of [exported, detail]) assert.doesNotMatch(JSON.stringify(record), new RegExp(home));
});

test('a server of the user is started only after a yes in a dialog that shows the whole command', options, async () => {
  const log = join(home, 'server');
  const server = { kind: 'stdio' as const, command: process.execPath, args: [serverFile, 'plain', log], env: [] };
  const answer = (response: number) =>
    running.evaluate(({ dialog }, response) => {
      dialog.showMessageBox = (...args: unknown[]) => {
        Reflect.set(globalThis, 'asked', args[args.length - 1]);
        return Promise.resolve({ response, checkboxChecked: false });
      };
    }, response);
  await answer(0);
  assert.equal(await call('addServer', { name: 'calc', server }), null);
  const asked = (await running.evaluate(() => Reflect.get(globalThis, 'asked') as unknown)) as {
    detail: string;
    buttons: string[];
    defaultId: number;
    cancelId: number;
  };
  assert.ok(asked.detail.startsWith(`${process.execPath} ${serverFile} plain ${log}\n`), asked.detail);
  assert.deepEqual([asked.buttons, asked.defaultId, asked.cancelId], [['Cancel', 'Start it'], 0, 0]);
  assert.equal(existsSync(`${log}.pids`), false, 'not started');
  await answer(1);
  const added = await call('addServer', { name: 'calc', server });
  const [tool] = added!.tools;
  assert.equal(((await refusal('tryTool', { name: tool.name, inputs: ['6*7'] })) as { code: string }).code, 'tool');
  await call('approveTool', { tool: tool.name, hash: tool.hash, unattended: false, price: 1 });
  const { results } = await call('tryTool', { name: tool.name, inputs: ['6*7'] });
  assert.equal(results[0].output, '42');
  await call('removeServer', { name: 'calc' });
  assert.deepEqual((await call('tools', {})).servers, []);
});

test('a malformed task file is told by line, and an unknown handle opens nothing', options, async () => {
  const file = join(home, 'bad.jsonl');
  writeFileSync(file, '{"question": "1+1", "answer": "2"}\n{"question": 5}\nnot json\n');
  await running.evaluate(({ dialog }, file) => {
    dialog.showOpenDialog = () => Promise.resolve({ canceled: false, filePaths: [file] });
  }, file);
  const picked = await call('pickFile', { purpose: 'task' });
  const preview = await call('previewTask', { file: picked!.handle });
  assert.ok(
    preview.errors.some((line) => /line 3/.test(line)),
    preview.errors.join('\n'),
  );
  const unknown = (await refusal('previewTask', { file: 'handle:1234/etc' })) as { code: string };
  assert.equal(unknown.code, 'not-found');
});

test('a deleted run is out of sight, comes back, and what stays deleted goes with the app', options, async () => {
  await call('deleteRun', { run: 'short' });
  assert.deepEqual((await call('runs', {})).runs, []);
  await call('undoDelete', { run: 'short' });
  assert.equal((await call('runs', {})).runs.length, 1);
  await call('deleteRun', { run: 'short' });
  await running.evaluate(({ app }) => app.quit()).catch(() => {});
  await running.waitForEvent('close').catch(() => {});
  assert.equal(existsSync(join(dataFolder, 'runs', 'short')), false, 'its files are gone');
  assert.deepEqual(enginePids(), [], 'no engine is left behind');
  const settings = JSON.parse(readFileSync(join(home, 'user', 'settings.json'), 'utf8')) as { window: unknown };
  assert.ok(settings.window, 'the place of the window is kept');
});

const noXdg = process.platform !== 'linux' && 'only Linux has XDG_DATA_HOME for a data folder of the test';
test('data are moved to the picked folder, and the next start finds them there', {
  ...options,
  skip: skip || noXdg,
}, async () => {
  const environment = { PARETUNE_HOME: '', XDG_DATA_HOME: join(home, 'xdg') };
  const [from, to] = [join(home, 'xdg', 'paretune'), join(home, 'elsewhere')];
  for (const folder of [from, to]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(from, 'note.txt'), 'kept');
  await start(environment);
  await running.evaluate(({ dialog }, folder) => {
    dialog.showOpenDialog = () => Promise.resolve({ canceled: false, filePaths: [folder] });
  }, to);
  const picked = await call('pickFolder', { purpose: 'data' });
  const { dataFolder: moved } = await call('moveData', { to: picked!.handle });
  await hear('progress', '"name":"moveData"');
  assert.equal(readFileSync(join(to, 'paretune', 'note.txt'), 'utf8'), 'kept');
  assert.deepEqual((await call('runs', {})).runs, []);
  await running.close();
  await start(environment);
  assert.equal((await call('settings', {})).dataFolder, moved);
  assert.deepEqual((await call('runs', {})).runs, []);
});
