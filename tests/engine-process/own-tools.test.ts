import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';
import type { Command, CommandContext } from '../../src-main/engine-process/command.ts';
import { command as add } from '../../src-main/engine-process/commands/tools-add.ts';
import { command as approve } from '../../src-main/engine-process/commands/tools-approve.ts';
import { command as check } from '../../src-main/engine-process/commands/tools-check.ts';
import { command as list } from '../../src-main/engine-process/commands/tools-list.ts';
import { command as look } from '../../src-main/engine-process/commands/tools-look.ts';
import { command as remove } from '../../src-main/engine-process/commands/tools-remove.ts';
import { command as revoke } from '../../src-main/engine-process/commands/tools-revoke.ts';
import { command as tryTool } from '../../src-main/engine-process/commands/tools-try.ts';
import { ownToolOpener, withOwnTools } from '../../src-main/engine-process/own-tools.ts';
import { collectTrajectories } from '../../src-main/engine/rollout/collect.ts';
import { DecodeEngine } from '../../src-main/engine/rollout/decode-engine.ts';
import { openEnvironment } from '../../src-main/engine/run/environment.ts';
import { openCorpus } from '../../src-main/engine-process/corpora.ts';
import { openAgent } from '../../src-main/engine/run/agent.ts';
import { makeChatFormat } from '../../src-main/engine/text/chat-format.ts';
import { rolloutSettings, temporaryFolder } from '../run/starter.ts';
import { serverFile } from '../tools/mcp-server.ts';

const calculator = 'mcp:calc/calculator';

/** A data folder with the server `calc`, added by the command. */
async function withServer(context: TestContext, mode = 'plain') {
  const folder = temporaryFolder(context);
  const log = join(folder, 'log');
  const events: RunEvent[] = [];
  const commandContext: CommandContext = {
    dataFolder: folder,
    emit: (event) => events.push(event),
    progress() {},
    item() {},
    signal: new AbortController().signal,
  };
  const run = <Payload, Result>(command: Command<Payload, Result>, payload: Payload) =>
    command.run(payload, commandContext);
  const server = { kind: 'stdio' as const, command: process.execPath, args: [serverFile, mode, log], env: [] };
  const row = await run(add, { name: 'calc', server });
  const calls = () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []);
  const allow = (unattended: boolean, price = 1) =>
    run(approve, { tool: calculator, hash: row.tools[0].hash, unattended, price });
  return { folder, run, row, server, calls, allow, log, events };
}

const config = (changes = {}) =>
  runConfigSchema.parse({
    model: 'starter:under-user',
    tasks: ['arithmetic-calculator'],
    tools: [calculator],
    ...changes,
  });

test('an added server is listed with what it offers, and none of it may run', async (t) => {
  const { run, row, calls, folder } = await withServer(t);
  assert.deepEqual(
    row.tools.map(({ name, state, unattended }) => [name, state, unattended]),
    [
      [calculator, 'unapproved', false],
      ['mcp:calc/secret', 'unapproved', false],
    ],
  );
  assert.match(row.reached, /mcp-server\.ts plain/);
  const { servers } = await run(list, {});
  assert.deepEqual(servers, [row]);
  for (const attempt of [
    () => run(tryTool, { name: calculator, inputs: ['1+1'] }),
    () => run(check, { names: [calculator] }),
    () => ownToolOpener(folder, 'attended')(calculator),
    async () => withOwnTools(config(), folder),
  ]) {
    await assert.rejects(attempt, { code: 'tool', message: /was not approved/, hint: /tools approve mcp:calc/ });
  }
  assert.deepEqual(calls(), []);
  await assert.rejects(run(add, { name: 'calc', server: row.server }), { code: 'usage', message: /already/ });
});

test('an approved tool may be tried; training also wants it marked, and takes its price and its hash', async (t) => {
  const { run, row, calls, folder, allow } = await withServer(t);
  await allow(false, 0.25);
  const { results } = await run(tryTool, { name: calculator, inputs: ['6*7'] });
  assert.equal(results[0].output, '42');
  const { tools } = await run(check, { names: [calculator, 'calculator'] });
  assert.deepEqual(
    tools.map(({ ok }) => ok),
    [true, true],
  );
  assert.throws(() => withOwnTools(config(), folder), { code: 'tool', hint: /--unattended/ });
  await assert.rejects(ownToolOpener(folder, 'unattended')(calculator), { code: 'tool', message: /unattended/ });
  assert.deepEqual(calls(), ['calculator {"expression":"6*7"}']);

  await allow(true, 0.25);
  const { toolDefinitions, prices } = withOwnTools(config(), folder);
  assert.deepEqual(toolDefinitions, { [calculator]: row.tools[0].hash });
  assert.deepEqual(prices, { [calculator]: 0.25 });
  assert.deepEqual(withOwnTools(config({ prices: { [calculator]: 3 } }), folder).prices, { [calculator]: 3 });
  assert.throws(() => withOwnTools(config({ toolDefinitions: { [calculator]: '0'.repeat(64) } }), folder), {
    message: /changed/,
  });
  assert.throws(() => withOwnTools(config({ toolDefinitions: { 'mcp:calc/secret': '0'.repeat(64) } }), folder), {
    code: 'config',
  });
  await run(revoke, { tool: calculator });
  await assert.rejects(run(tryTool, { name: calculator, inputs: ['1+1'] }), { message: /was not approved/ });
  await assert.rejects(run(revoke, { tool: calculator }), { code: 'not-found' });
});

test('a changed definition is found at once, is asked again, and a run begun with the old one does not go on', async (t) => {
  const { run, row, calls, folder, allow, log } = await withServer(t, 'switch');
  await allow(true);
  const pins = withOwnTools(config(), folder).toolDefinitions;
  writeFileSync(`${log}.switched`, '');
  // the record still shows the old one: the server itself is asked before a call
  await assert.rejects(run(tryTool, { name: calculator, inputs: ['1+1'] }), { code: 'tool', message: /changed/ });
  const { tools } = await run(look, { name: 'calc' });
  assert.equal(tools[0].state, 'changed');
  assert.equal(tools[0].description, 'Another tool.');
  assert.equal(tools[0].before?.description, 'Computes one operation.', 'what it was is shown beside it');
  assert.throws(() => withOwnTools(config(), folder), { message: /changed/, hint: /tools approve/ });
  await assert.rejects(run(approve, { tool: calculator, hash: row.tools[0].hash, unattended: true, price: 1 }), {
    message: /not the one that was read/,
  });
  const again = await run(approve, { tool: calculator, hash: tools[0].hash, unattended: true, price: 1 });
  assert.equal(again.before, null);
  await assert.rejects(ownToolOpener(folder, 'unattended', pins)(calculator), {
    message: /begun with another definition/,
  });
  assert.deepEqual(calls(), []);
});

test('a removed server takes its approvals with it', async (t) => {
  const { run, allow, server } = await withServer(t);
  await allow(true);
  await run(remove, { name: 'calc' });
  await assert.rejects(run(tryTool, { name: calculator, inputs: ['1+1'] }), { code: 'not-found' });
  const again = await run(add, { name: 'calc', server });
  assert.equal(again.tools[0].state, 'unapproved');
});

test('an approval in the file is worth nothing for another command; a damaged file is refused', async (t) => {
  const { run, allow, folder, calls } = await withServer(t);
  await allow(true);
  const path = join(folder, 'tools.json');
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replace('"plain"', '"changed"'));
  await assert.rejects(run(tryTool, { name: calculator, inputs: ['1+1'] }), { message: /changed/ });
  assert.deepEqual(calls(), []);
  for (const bad of [
    '{',
    text.replace('"version": 1', '"version": 2'),
    text.replace('"unattended": true', '"unattended": 1'),
  ]) {
    writeFileSync(path, bad);
    await assert.rejects(run(list, {}), { code: 'bad-file', message: /tools\.json/ });
  }
});

test('the starter agent calls an approved MCP tool in its rollouts: priced by its full name, answered as data', async (t) => {
  const { folder, allow, calls } = await withServer(t);
  await allow(true, 0.5);
  const agent = openAgent('starter:under-user');
  const environment = await openEnvironment(
    agent,
    { tasks: ['arithmetic-calculator'], tools: [calculator] },
    (source) => openCorpus(source, { dataFolder: folder, progress() {} }),
    ownToolOpener(folder, 'unattended'),
  );
  const engine = new DecodeEngine(agent.newPolicy(null, 0), { threads: 1, maxTokens: 160 });
  t.after(async () => {
    await engine.dispose();
    await environment.close();
  });
  const problems = environment.problems('train', 8, 0);
  const { groups } = await collectTrajectories(
    problems.map((problem) => ({ problem, samples: 8 })),
    engine,
    environment.formatOf,
    environment.callTool,
    rolloutSettings({ prices: { [calculator]: 0.5 } }),
  );
  const made = groups.flat().flatMap(({ toolCalls }) => toolCalls);
  assert.ok(made.length > 0, 'it calls');
  assert.equal(calls().length, made.length);
  for (const call of made) {
    assert.equal(call.name, calculator);
    assert.equal(call.price, 0.5);
  }
  const worked = made.filter(({ status }) => status === 'ok');
  assert.ok(worked.length > 0, 'and is answered');
});

test('two tools that a model would know by one name are refused', async (t) => {
  const { folder, allow } = await withServer(t);
  await allow(true);
  await assert.rejects(
    openEnvironment(
      openAgent('starter:over-user'),
      { tasks: ['arithmetic-calculator'], tools: ['calculator', calculator] },
      (source) => openCorpus(source, { dataFolder: folder, progress() {} }),
      ownToolOpener(folder, 'unattended'),
    ),
    { code: 'tool', message: /calculator and mcp:calc\/calculator by the same name/ },
  );
});

test('neither a definition nor an answer can forge the special tokens of a model', async (t) => {
  const { folder, run } = await withServer(t, 'hidden');
  const { tools: rows } = await run(look, { name: 'calc' });
  await run(approve, { tool: calculator, hash: rows[0].hash, unattended: false, price: 1 });
  const agent = openAgent('starter:over-user');
  const tool = await ownToolOpener(folder, 'attended')(calculator);
  t.after(() => tool.close());
  const { output } = await tool.call({ expression: 'forge' });
  assert.match(output, /<\|im_end\|>/, 'the server did send it');
  assert.equal(output.includes('\u001b'), false);
  // a template that shows the tools, on the starter's tokenizer
  const format = makeChatFormat({
    tokenizer: agent.tokenizer,
    template: agent.folder.chatTemplate,
    tokenizerConfig: agent.folder.tokenizerConfig,
    eosTokenIds: agent.folder.eosTokenIds,
    tools: [tool.spec],
    primaryArgument: () => 'expression',
  });
  const special = (tokens: number[]) => tokens.filter((id) => agent.tokenizer.isSpecial(id));
  const honest = format.toolSuffix([{ name: 'calculator', content: '42' }]);
  const forged = format.toolSuffix([
    { name: 'calculator', content: `${output} ${[...agent.tokenizer.specials.keys()].join(' ')}` },
  ]);
  assert.deepEqual(special(forged), special(honest));
});
