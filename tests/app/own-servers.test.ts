/** MCP servers at the window's side of the door: no program starts that the user was not shown whole and said yes to. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runKeeper } from '../../src-main/app/active-run.ts';
import { callHandlers, type Desktop } from '../../src-main/app/calls.ts';
import { deletions } from '../../src-main/app/deletions.ts';
import { engineLane } from '../../src-main/app/engine-lane.ts';
import { feedSource } from '../../src-main/app/feed.ts';
import { makeHandles } from '../../src-main/app/handles.ts';
import { type Question, questionOf } from '../../src-main/app/own-servers.ts';
import { type Answer, channels, type Ipc, openDoor } from '../../src-main/app/relay.ts';
import { openSettings } from '../../src-main/app/settings-file.ts';
import { type McpServer, shownCommand } from '../../src-main/contract/mcp.ts';
import { fakeEngine } from './fake-engine.ts';

const home = '/home/user';
const server = { kind: 'stdio', command: '/home/user/bin/serve', args: ['--root', 'a b'], env: ['UNITS_KEY'] } as const;
const row = {
  name: 'units',
  server,
  reached: '/home/user/bin/serve --root "a b"',
  tools: [
    {
      name: 'mcp:units/convert',
      description: 'Converts.',
      parameters: { type: 'object', properties: { path: { default: '/home/user/x' } } },
      hash: 'a'.repeat(64),
      state: 'unapproved',
      unattended: false,
      price: 1,
    },
  ],
};

/** The calls on engines that are none, with a user who answers as the test says. */
function window(answer: () => boolean | Promise<boolean>, saveInto = (folder: string) => folder) {
  const [reader, computer] = [fakeEngine(), fakeEngine()];
  const reading = engineLane({ start: () => reader, silenceMs: 60_000 });
  const computing = engineLane({ start: () => computer, silenceMs: 60_000 });
  const asked: Question[] = [];
  const later = (done: () => void, ms: number) => void setTimeout(done, ms).unref();
  const folder = mkdtempSync(join(tmpdir(), 'paretune-own-'));
  const settings = openSettings(join(folder, 'settings.json'));
  const feed = feedSource(() => {}, later);
  const handles = makeHandles({ home, folders: () => [] });
  const desktop = {
    homeFolder: home,
    dataFolder: () => folder,
    askSave: async (_: string, name: string) => join(saveInto(folder), name),
    confirm: async (question: Question) => {
      asked.push(question);
      return answer();
    },
  } as unknown as Desktop;
  const runs = runKeeper({ lane: computing, tell: feed.tell });
  const handlers = callHandlers({
    ...{ computing, reading, runs, feed, handles, settings, desktop },
    deletions: deletions(computing, settings, later),
  });
  const listeners = new Map<string, Parameters<Ipc['handle']>[1]>();
  openDoor(
    { handle: (channel, listener) => void listeners.set(channel, listener) },
    handlers,
    () => ({ handle: 'handle:1/x', name: 'x', isFolder: false }),
    handles,
  );
  const call = (name: string, payload: unknown) =>
    listeners.get(channels.call)!(
      { senderFrame: { url: 'app://paretune/index.html', parent: null } },
      name,
      payload,
    ) as Promise<Answer>;
  const sent = () =>
    [...reader.sent, ...computer.sent].flatMap((request) =>
      request.kind === 'command' ? [[request.command, request.payload] as const] : [],
    );
  const reply = async (command: string, result: unknown) => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
    reader.say({ kind: 'result', id: reader.idOf(command), result: result as never });
  };
  const end = () => Promise.all([reading.end(0), computing.end(0)]);
  return { call, asked, sent, reply, end, folder };
}

test('a program is started after a yes to its whole command and its variables, and it is the one that was shown', async () => {
  const { call, asked, sent, reply, end } = window(() => true);
  const added = call('addServer', { name: 'units', server });
  await reply('tools-add', row);
  const answer = await added;
  assert.equal(asked.length, 1);
  assert.match(asked[0].message, /Start this program as the MCP server units/);
  assert.ok(asked[0].detail.startsWith('/home/user/bin/serve --root "a b"\n\n'), asked[0].detail);
  assert.match(asked[0].detail, /UNITS_KEY/);
  assert.deepEqual(sent(), [['tools-add', { name: 'units', server }]]);
  assert.ok(answer.ok);
  assert.deepEqual(answer.value, {
    name: 'units',
    kind: 'stdio',
    reached: '~/bin/serve --root "a b"',
    env: ['UNITS_KEY'],
    tools: row.tools,
  });
  await end();
});

test('after a no nothing is started, and nothing is kept', async () => {
  const { call, sent, asked, end } = window(() => false);
  assert.deepEqual(await call('addServer', { name: 'units', server }), { ok: true, value: null });
  assert.deepEqual(await call('addServer', { name: 'lab', server: { kind: 'http', url: 'https://x.org/mcp' } }), {
    ok: true,
    value: null,
  });
  assert.match(asked[1].detail, /^https:\/\/x\.org\/mcp\n/);
  assert.deepEqual(sent(), []);
  await end();
});

test('one question at a time, and while it stands nothing is started', async () => {
  let say: (yes: boolean) => void = () => {};
  const { call, sent, asked, end } = window(() => new Promise<boolean>((resolve) => (say = resolve)));
  const first = call('addServer', { name: 'units', server });
  await Promise.resolve();
  const second = await call('addServer', { name: 'more', server });
  assert.ok(!second.ok && /dialog is open/.test(second.error.message));
  assert.deepEqual([asked.length, sent().length], [1, 0]);
  say(false);
  assert.deepEqual(await first, { ok: true, value: null });
  assert.deepEqual(sent(), []);
  await end();
});

test('what does not fit never gets as far as the question', async () => {
  const { call, asked, sent, end } = window(() => true);
  for (const payload of [
    { name: '../x', server },
    { name: 'units', server: 'sh -c "rm -rf /"' },
    { name: 'units', server: { ...server, args: 'a b' } },
    { name: 'units', server: { ...server, shell: true } },
    { name: 'units', server: { ...server, env: { PATH: '/evil' } } },
    { name: 'units', server: { ...server, command: '' } },
    { name: 'units', server: { ...server, command: 'a\0b' } },
    { name: 'units', server, confirmed: true },
    // longer than a dialog shows: the end could be anything
    { name: 'units', server: { ...server, args: ['x'.repeat(1500)] } },
  ]) {
    const answer = await call('addServer', payload);
    assert.ok(!answer.ok && answer.error.code === 'usage', JSON.stringify(payload).slice(0, 100));
  }
  for (const [name, payload] of [
    ['approveTool', { tool: 'mcp:units/convert', hash: 'short', unattended: true, price: 1 }],
    ['approveTool', { tool: 'python', hash: 'a'.repeat(64), unattended: true, price: 1 }],
    ['approveTool', { tool: 'mcp:units/convert', hash: 'a'.repeat(64), unattended: true, price: -1 }],
    ['lookServer', { name: 'units', server }],
    ['revokeTool', { tool: '*' }],
  ] as const) {
    assert.equal((await call(name, payload)).ok, false, JSON.stringify(payload));
  }
  assert.deepEqual([asked, sent()], [[], []]);
  await end();
});

test('the list, a look and an approval go to the engine that has time while a run computes', async () => {
  const { call, sent, reply, end } = window(() => true);
  const listed = call('tools', {});
  await reply('tools-list', { tools: [], servers: [row] });
  const answer = await listed;
  assert.doesNotMatch(JSON.stringify(answer), /home\/user\/bin/);
  // a definition is not rewritten: it is what the user reads and what the hash is of
  assert.match(JSON.stringify(answer), /\/home\/user\/x/);
  const looked = call('lookServer', { name: 'units' });
  await reply('tools-look', row);
  assert.ok((await looked).ok);
  const allowed = { tool: 'mcp:units/convert', hash: 'a'.repeat(64), unattended: true, price: 0.5 };
  const approved = call('approveTool', allowed);
  await reply('tools-approve', { ...row.tools[0], state: 'approved' });
  assert.ok((await approved).ok);
  const tried = call('tryTool', { name: 'mcp:units/convert', inputs: ['1 m'] });
  await reply('tools-try', { results: [] });
  assert.ok((await tried).ok);
  assert.deepEqual(
    sent().map(([command]) => command),
    ['tools-list', 'tools-look', 'tools-approve', 'tools-try'],
  );
  await end();
});

test('the page cannot write the record of servers either, not even into a folder that the user picks', async () => {
  const { call, folder, end } = window(() => true);
  const answer = await call('saveFile', { name: 'tools.json', data: '{}' });
  assert.ok(!answer.ok && /data folder/.test(answer.error.message));
  assert.equal(existsSync(join(folder, 'tools.json')), false);
  await end();
});

test('nor through a link to the data folder', {
  skip: process.platform === 'win32' && 'a link needs rights there',
}, async () => {
  const link = join(mkdtempSync(join(tmpdir(), 'paretune-link-')), 'elsewhere');
  const { call, folder, end } = window(
    () => true,
    (data) => {
      symlinkSync(data, link);
      return link;
    },
  );
  const answer = await call('saveFile', { name: 'tools.json', data: '{}' });
  assert.ok(!answer.ok && /data folder/.test(answer.error.message));
  assert.equal(existsSync(join(folder, 'tools.json')), false);
  await end();
});

test('what hides in a command or an address is written out where it is shown', () => {
  const stdio = (...args: string[]): McpServer => ({ kind: 'stdio', command: 'node', args, env: [] });
  assert.equal(shownCommand(stdio('a b', 'x', '', '$(x)')), 'node "a b" x "" "$(x)"');
  assert.equal(shownCommand(stdio('a\nb')), 'node "a\\nb"');
  assert.equal(
    shownCommand(stdio('a\u202eb', '\u{e0041}', 'a\u00a0b', 'é', '\u3164', '\u2800')),
    'node "a\\u{202e}b" "\\u{e0041}" "a\\u{a0}b" "é" "\\u{3164}" "\\u{2800}"',
  );
  // a Cyrillic letter that looks like a Latin one
  assert.equal(shownCommand({ kind: 'http', url: 'https://ex\u0430mple.org/mcp' }), 'https://xn--exmple-4nf.org/mcp');
  assert.match(questionOf('lab', { kind: 'http', url: 'https://example.org' }).message, /Connect to this address/);
});
