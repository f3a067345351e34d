/**
 * The window in a browser, for tests only: the built renderer, the app's own calls, feeds and engine processes, and in
 * place of Electron's messages a loopback server (calls by POST, feeds as server-sent events). Dialogs are answered by the
 * test. Nothing of this is part of the app, which opens no port.
 */
import { fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { runKeeper } from '../../src-main/app/active-run.ts';
import { callHandlers, type Desktop, dropped } from '../../src-main/app/calls.ts';
import { deletions as makeDeletions } from '../../src-main/app/deletions.ts';
import { type EngineProcess, engineLane } from '../../src-main/app/engine-lane.ts';
import { feedSource } from '../../src-main/app/feed.ts';
import { makeHandles } from '../../src-main/app/handles.ts';
import type { Question } from '../../src-main/app/own-servers.ts';
import { channels, type Ipc, openDoor } from '../../src-main/app/relay.ts';
import { contentSecurityPolicy, origin } from '../../src-main/app/app-protocol.ts';
import { openSettings } from '../../src-main/app/settings-file.ts';
import type { Feed } from '../../src-main/contract/window-api.ts';

const root = resolve(import.meta.dirname, '../..');
const types: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

/** What stands in for the preload: the same `window.paretune`, over fetch. */
const bridge = `
const encode = (value) => JSON.stringify(value, (_, v) => v instanceof Uint8Array ? { base64: btoa(Array.from(v, (b) => String.fromCharCode(b)).join('')) } : v);
window.paretune = Object.freeze({
  async call(name, payload) {
    const answer = await (await fetch('/call', { method: 'POST', body: encode({ name, payload }) })).json();
    if (!answer.ok) throw answer.error;
    return answer.value;
  },
  onFeed(listener) {
    const source = new EventSource('/feed');
    source.onmessage = ({ data }) => JSON.parse(data).forEach(listener);
    return () => source.close();
  },
  async dropped(file) {
    const answer = await (await fetch('/dropped', { method: 'POST', body: file.name })).json();
    if (!answer.ok) throw answer.error;
    return answer.value;
  },
});
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.violatedDirective + ' ' + event.blockedURI));
`;

export type Served = {
  address: string;
  /** what the dialogs answer next, by kind */
  answers: { folder: string | null; file: string | null; save: string | null; confirm: boolean };
  /** what the user was asked, in order */
  asked: Question[];
  /** where files that are dropped lie, by name: a browser knows no paths */
  drops: { folder: string };
  /** ends the computing engine as a fault would */
  killEngine(): void;
  /** sends a feed of the test's own making */
  tell: ReturnType<typeof feedSource>['tell'];
  close(): Promise<void>;
};

export type ServeOptions = {
  /** of the engine that computes: another entry, whose faults a test brings, and how long it may be silent */
  entry?: string;
  engineSilenceMs?: number;
};

/** Serves a built window until closed. The data folder holds the runs, `settings.json` beside it what the app remembers. */
export async function serve(
  dataFolder: string,
  rendererFolder: string,
  { entry, engineSilenceMs = 120_000 }: ServeOptions = {},
): Promise<Served> {
  // held in memory: a build beside the test may replace the folder
  const files = new Map(
    readdirSync(rendererFolder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [`/${relative(rendererFolder, file).replaceAll('\\', '/')}`, readFileSync(file)]),
  );
  const drops = { folder: dataFolder };
  const answers: Served['answers'] = { folder: null, file: null, save: null, confirm: false };
  const asked: Question[] = [];
  const listeners = new Set<(feeds: Feed[]) => void>();
  const later = (done: () => void, ms: number) => void setTimeout(done, ms).unref();
  const handles = makeHandles({ home: '', folders: () => [dataFolder] });
  const settings = openSettings(join(dirname(dataFolder), 'settings.json'));
  const feed = feedSource((feeds) => {
    for (const listener of listeners) listener(handles.closed(feeds));
  }, later);
  let engine: ReturnType<typeof fork> | undefined;
  const startEngine = (computing: boolean) => (): EngineProcess => {
    const file = (computing && entry) || join(root, 'src-main/engine-process/main.ts');
    const child = fork(file, [settings.get().dataFolder ?? dataFolder], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    if (computing) engine = child;
    return {
      postMessage: (message) => child.connected && child.send(message as object, () => {}),
      kill: () => child.kill('SIGKILL'),
      on: (name: 'message' | 'exit', listener: (value: never) => void) => child.on(name, listener as () => void),
      stderr: child.stderr,
    };
  };
  const reading = engineLane({ start: startEngine(false), silenceMs: 120_000 });
  const computing = engineLane({
    start: startEngine(true),
    silenceMs: engineSilenceMs,
    onReady: () => feed.tell({ kind: 'engine', engine: { state: 'ready' } }),
    onDeath: (death) => runs.died(death),
  });
  const runs = runKeeper({ lane: computing, tell: feed.tell, onEvent: () => {}, onChange: () => {} });
  const desktop: Desktop = {
    version: '0.0.0-test',
    platform: process.platform,
    homeFolder: dataFolder,
    dataFolder: () => settings.get().dataFolder ?? dataFolder,
    dataFolderFixed: false,
    askFolder: async () => answers.folder,
    askFile: async () => answers.file,
    askSave: async (_, name) => (answers.save === null ? null : join(answers.save, name)),
    confirm: async (question) => {
      asked.push(question);
      return answers.confirm;
    },
    openExternal: async () => {},
    showItem: () => {},
    setTheme: () => {},
  };
  type Listener = Parameters<Ipc['handle']>[1];
  const door = new Map<string, Listener>();
  openDoor(
    { handle: (channel, listener) => void door.set(channel, listener) },
    callHandlers({
      computing,
      reading,
      runs,
      deletions: makeDeletions(computing, settings, later),
      feed,
      handles,
      settings,
      desktop,
    }),
    (path) => dropped(handles, path),
    handles,
  );
  computing.wake();

  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    if (path === '/call') {
      const body: Buffer[] = [];
      for await (const chunk of request) body.push(chunk as Buffer);
      const { name, payload } = JSON.parse(Buffer.concat(body).toString(), (_, value: unknown) =>
        typeof value === 'object' && value !== null && 'base64' in value
          ? new Uint8Array(Buffer.from(String(value.base64), 'base64'))
          : value,
      ) as { name: string; payload: unknown };
      const answer = await door.get(channels.call)!(
        { senderFrame: { url: `${origin}/index.html`, parent: null } },
        name,
        payload,
      );
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    } else if (path === '/dropped') {
      const name: Buffer[] = [];
      for await (const chunk of request) name.push(chunk as Buffer);
      const answer = await door.get(channels.dropped)!(
        { senderFrame: { url: `${origin}/index.html`, parent: null } },
        join(drops.folder, Buffer.concat(name).toString()),
      );
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    } else if (path === '/feed') {
      response.setHeader('content-type', 'text/event-stream').write('\n');
      const listener = (feeds: Feed[]) => response.write(`data: ${JSON.stringify(feeds)}\n\n`);
      listeners.add(listener);
      request.on('close', () => listeners.delete(listener));
    } else if (path === '/bridge.js') {
      response.setHeader('content-type', 'text/javascript').end(bridge);
    } else {
      const file = files.get(path === '/' ? '/index.html' : path);
      if (file === undefined) return void response.writeHead(path === '/favicon.ico' ? 204 : 404).end();
      response.setHeader('content-security-policy', contentSecurityPolicy);
      response.setHeader('content-type', types[extname(path)] ?? 'text/html');
      response.end(
        path === '/' ? file.toString().replace('<script', '<script src="/bridge.js"></script><script') : file,
      );
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    address: `http://127.0.0.1:${address.port}/`,
    answers,
    asked,
    drops,
    killEngine: () => void engine?.kill('SIGKILL'),
    tell: feed.tell,
    async close() {
      server.closeAllConnections();
      server.close();
      runs.stop();
      await Promise.all([computing.end(10_000), reading.end(0)]);
    },
  };
}
