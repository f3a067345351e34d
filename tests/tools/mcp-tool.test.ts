import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { AddressInfo } from 'node:net';
import type { McpServer } from '../../src-main/contract/mcp.ts';
import { checkAddress, connectMcp, mcpLimits } from '../../src-main/engine/tools/mcp-connection.ts';
import { definitionHash, specOf } from '../../src-main/engine/tools/mcp-definition.ts';
import { mcpHost } from '../../src-main/engine/tools/mcp-tool.ts';
import { mcpOverHttp } from './mcp-http.ts';
import { type Mode, serverFile } from './mcp-server.ts';
import { isRunning } from '../is-running.ts';

const short = { ...mcpLimits, startMs: 8000, callMs: 700 };

function started(context: TestContext, mode: Mode) {
  const folder = mkdtempSync(join(tmpdir(), 'paretune-mcp-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const log = join(folder, 'log');
  const server: McpServer = { kind: 'stdio', command: process.execPath, args: [serverFile, mode, log], env: [] };
  const calls = () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []);
  const pids = () => readFileSync(`${log}.pids`, 'utf8').trim().split('\n').map(Number);
  return { log, server, calls, pids };
}

/** The calculator of a server, approved as it is now. */
async function approved(context: TestContext, server: McpServer, limits = mcpLimits) {
  const connection = await connectMcp('test', server, limits);
  await connection.close();
  const host = mcpHost('test', server, limits);
  context.after(() => host.close());
  return host.tool('calculator', definitionHash(server, connection.definitions[0]));
}

/** Those that have not ended within five seconds: on a busy machine the end of a process takes its time. */
async function stillRunning(pids: () => number[]): Promise<number[]> {
  for (let i = 0; i < 100 && pids().some(isRunning); i++) await new Promise((resolve) => setTimeout(resolve, 50));
  return pids().filter(isRunning);
}

test('a tool of a stdio server computes, is described by its whole schema, and its program ends with it', async (t) => {
  const { server, calls, pids } = started(t, 'plain');
  const tool = await approved(t, server);
  assert.equal(tool.spec.name, 'calculator');
  assert.equal(tool.primaryArgument, 'expression');
  assert.equal(tool.spec.parameters.additionalProperties, false);
  assert.equal(tool.spec.parameters.properties.expression.maxLength, 200);
  assert.equal((await tool.check()).ok, true);
  assert.deepEqual(calls(), [], 'neither listing nor checking calls it');
  const results = await Promise.all([...Array(20).keys()].map((i) => tool.call({ expression: `${i}*3` })));
  assert.deepEqual(
    results.map(({ output }) => output),
    [...Array(20).keys()].map((i) => String(i * 3)),
  );
  const wrong = await tool.call({ expression: 'what' });
  assert.equal(wrong.status, 'error');
  assert.match(wrong.output, /one operation/);
  await tool.close();
  assert.deepEqual(pids().filter(isRunning), []);
  await assert.rejects(tool.call({ expression: '1+1' }), /closed/);
});

test('a program gets the harmless variables and those that the user named, no other', async (t) => {
  process.env.PARETUNE_TEST_SECRET = 'a';
  process.env.PARETUNE_TEST_NAMED = 'b';
  t.after(() => {
    delete process.env.PARETUNE_TEST_SECRET;
    delete process.env.PARETUNE_TEST_NAMED;
  });
  const { server } = started(t, 'plain');
  const named = { ...server, env: ['PARETUNE_TEST_NAMED'] } as McpServer;
  const tool = await approved(t, named);
  const { output } = await tool.call({ expression: 'environment' });
  assert.match(output, /PARETUNE_TEST_NAMED/);
  assert.doesNotMatch(output, /PARETUNE_TEST_SECRET/);
  const missing = { ...server, env: ['PARETUNE_TEST_MISSING'] } as McpServer;
  await assert.rejects(connectMcp('test', missing), { code: 'tool', message: /PARETUNE_TEST_MISSING.*not set/ });
});

test('a shell is never asked: what looks like one is an argument', async (t) => {
  const { server, pids } = started(t, 'plain');
  assert.equal(server.kind, 'stdio');
  const trap = join(mkdtempSync(join(tmpdir(), 'paretune-mcp-')), 'trap');
  const withTrap = {
    ...server,
    args: [...(server as { args: string[] }).args, `; touch ${trap}`, `$(touch ${trap})`],
  } as McpServer;
  await (await connectMcp('test', withTrap)).close();
  assert.equal(existsSync(trap), false);
  assert.equal(pids().length, 1);
});

test('a tool with another definition than the approved one is not made and not called', async (t) => {
  const plain = started(t, 'plain');
  const { definitions, close } = await connectMcp('test', plain.server);
  await close();
  const changed = started(t, 'changed');
  // the same command, so that the definition alone differs
  const host = mcpHost('test', changed.server);
  t.after(() => host.close());
  await assert.rejects(host.tool('calculator', definitionHash(changed.server, definitions[0])), {
    code: 'tool',
    message: /mcp:test\/calculator.*changed/,
  });
  await assert.rejects(host.tool('gone', '0'.repeat(64)), { code: 'tool', message: /no longer offers/ });
  assert.deepEqual(changed.calls(), []);
});

test('an approval holds for the command it was given for, not for another program with the same words', async (t) => {
  const { server } = started(t, 'plain');
  const connection = await connectMcp('test', server);
  await connection.close();
  const [definition] = connection.definitions;
  const other = { ...server, args: [...(server as { args: string[] }).args, '--more'] } as McpServer;
  assert.notEqual(definitionHash(server, definition), definitionHash(other, definition));
  const reordered = Object.fromEntries(Object.entries(definition).reverse());
  assert.equal(definitionHash(server, definition), definitionHash(server, reordered));
});

test('a definition that changes while a run goes on stops the calls', async (t) => {
  const { server, calls } = started(t, 'switch');
  const tool = await approved(t, server);
  assert.equal((await tool.call({ expression: '1+1' })).output, '2'); // the server changes its definition now
  await new Promise((resolve) => setTimeout(resolve, 200));
  await assert.rejects(tool.call({ expression: '2+2' }), /changed/);
  assert.deepEqual(calls(), ['calculator {"expression":"1+1"}']);
});

test('a server that hangs in a call breaks the tool in time, and its program is ended', async (t) => {
  const { server, pids } = started(t, 'hang');
  const tool = await approved(t, server, short);
  await assert.rejects(tool.call({ expression: '1+1' }), /did not answer a call of calculator within 0.7 s/);
  await tool.close();
  assert.deepEqual(pids().filter(isRunning), []);
});

test('a program that says nothing and ignores a polite end is an error in time and is gone', async (t) => {
  const { server, pids } = started(t, 'hang-at-start');
  await assert.rejects(connectMcp('test', server, { ...short, startMs: 900 }), {
    code: 'tool',
    message: /test does not work .*within 0.9 s|timed out/,
  });
  assert.deepEqual(await stillRunning(pids), []);
});

test('a start that the user ends is over at once, and its program is gone', async (t) => {
  const { server, pids } = started(t, 'hang-at-start');
  const stop = new AbortController();
  const connecting = connectMcp('test', server, mcpLimits, stop.signal);
  const path = `${(server as { args: string[] }).args[2]}.pids`;
  while (!existsSync(path) || readFileSync(path, 'utf8') === '')
    await new Promise((resolve) => setTimeout(resolve, 20));
  stop.abort();
  await assert.rejects(connecting, { code: 'interrupted' });
  assert.deepEqual(await stillRunning(pids), []);
  await assert.rejects(connectMcp('test', server, mcpLimits, stop.signal), { code: 'interrupted' });
});

test('a program that ends in a call breaks that call; the next one begins it anew', async (t) => {
  const dead = await approved(t, started(t, 'crash').server, short);
  await assert.rejects(dead.call({ expression: '1+1' }));
  await assert.rejects(dead.call({ expression: '1+1' }));
  const once = await approved(t, started(t, 'crash-once').server, { ...short, callMs: 8000 });
  await assert.rejects(once.call({ expression: '1+1' }));
  assert.equal((await once.call({ expression: '1+2' })).output, '3');
});

test('output over the limit is an error the model reads; a message over the limit breaks the tool', async (t) => {
  const tool = await approved(t, started(t, 'plain').server, { ...mcpLimits, callMs: 8000 });
  const large = await tool.call({ expression: 'large' });
  assert.equal(large.status, 'output');
  assert.ok(large.output.length < 100);
  await assert.rejects(tool.call({ expression: 'huge' }));
  assert.equal((await tool.call({ expression: '2+2' })).output, '4', 'begun anew');
});

test('hostile definitions are refused: too many, too long, too deep, names that are paths', async (t) => {
  for (const [mode, message] of [
    ['many', /offers 200 tools; at most 128/],
    ['large', /characters for one tool/],
    ['names', /named "..\/..\/etc"/],
    ['deep', /deeper than 24/],
  ] as const) {
    const { server, pids } = started(t, mode);
    await assert.rejects(connectMcp('test', server), { code: 'tool', message }, mode);
    assert.deepEqual(pids().filter(isRunning), [], mode);
  }
});

test('what hides from a reader is taken out of definitions: escapes, bidirectional overrides, invisible tags', async (t) => {
  const { server } = started(t, 'hidden');
  const connection = await connectMcp('test', server);
  await connection.close();
  assert.equal(specOf(connection.definitions[0]).description, 'Adds[2Jup and <|im_end|> more.');
});

test('a program that is not there is an error with what was run', async () => {
  const server: McpServer = { kind: 'stdio', command: 'no-such-program-here', args: ['a b'], env: [] };
  await assert.rejects(connectMcp('test', server), { code: 'tool', message: /no-such-program-here "a b"/ });
});

test('a server over HTTP works, is never left for another address, and answers only within bounds', async (t) => {
  const { log, calls } = started(t, 'plain');
  let redirect = false;
  const elsewhere: string[] = [];
  const other = createServer((request, response) => {
    elsewhere.push(request.url ?? '');
    response.end();
  });
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { url, close } = await mcpOverHttp(log, (response) => {
    if (redirect)
      response.writeHead(307, { location: `http://127.0.0.1:${(other.address() as AddressInfo).port}/mcp` }).end();
    return redirect;
  });
  t.after(() => {
    close();
    other.closeAllConnections();
    other.close();
  });
  const server: McpServer = { kind: 'http', url };
  const tool = await approved(t, server);
  assert.equal((await tool.call({ expression: '6*7' })).output, '42');
  await assert.rejects(tool.call({ expression: 'huge' }), 'larger than a message may be');
  assert.equal(calls().length, 2);
  await tool.close();
  redirect = true;
  await assert.rejects(connectMcp('test', server, short), { code: 'tool' });
  assert.deepEqual(elsewhere, []);
});

test('addresses: https anywhere, http on this machine only, no passwords', () => {
  checkAddress('https://tools.example.org/mcp');
  checkAddress('http://127.0.0.1:8000/mcp');
  for (const url of ['http://tools.example.org/mcp', 'file:///etc/passwd', 'https://a:b@example.org/', 'nothing']) {
    assert.throws(() => checkAddress(url), { code: 'tool' }, url);
  }
});
