/** The commands that only the window asks, on a stored run and on the bundled agents. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';
import type { McpServerRow } from '../../src-main/contract/mcp.ts';
import type { CallName, CallResult, ChatStep, ToolDescription } from '../../src-main/contract/window-api.ts';
import { openAgent } from '../../src-main/engine/run/agent.ts';
import type { CommandContext } from '../../src-main/engine-process/command.ts';
import { commands, type CommandName, type PayloadOf, type ResultOf } from '../../src-main/engine-process/commands.ts';
import { memoryParts } from '../../src-main/engine-process/memory-estimate.ts';
import { tokenTexts } from '../../src-main/engine-process/commands/window-trajectory.ts';
import { setPrices, takePrices } from '../../src-main/engine-process/price-changes.ts';
import { openStore, runFolder } from '../../src-main/store/open-store.ts';
import { problem, sampleTrajectory, started, stepEvent } from '../store/samples.ts';

const dataFolder = mkdtempSync(join(tmpdir(), 'paretune-window-'));
after(() => rmSync(dataFolder, { recursive: true }));
const context: CommandContext = {
  dataFolder,
  emit() {},
  progress() {},
  item() {},
  signal: new AbortController().signal,
};

/** As serve.ts does: the payload is checked, defaults are filled in. */
async function ask<N extends CommandName>(
  name: N,
  payload: Record<string, unknown>,
  more: Partial<CommandContext> = {},
): Promise<ResultOf<N>> {
  const { command } = await commands[name]();
  const checked = command.payload.parse(payload) as PayloadOf<N>;
  const run = command.run as (payload: PayloadOf<N>, context: CommandContext) => Promise<ResultOf<N>>;
  return run(checked, { ...context, ...more });
}

/** What a command answers is what the contract promises the window (checked by the compiler; paths become handles in main). */
type Promised<C extends CommandName, N extends CallName> = ResultOf<C> extends CallResult<N> ? true : never;
/** Of servers main tells the window less. */
type Made<C extends CommandName, What> = ResultOf<C> extends What ? true : never;
const promised: [
  Promised<'window-runs', 'runs'>,
  Promised<'window-run', 'run'>,
  Promised<'window-statistics', 'statistics'>,
  Promised<'window-trajectories', 'trajectories'>,
  Promised<'window-groups', 'groups'>,
  Promised<'window-trajectory', 'trajectory'>,
  Promised<'rescore', 'rescore'>,
  Promised<'eval', 'eval'>,
  Promised<'chat', 'chat'>,
  Promised<'doctor', 'doctor'>,
  Made<'tools-list', { tools: ToolDescription[]; servers: McpServerRow[] }>,
  Made<'tools-add', McpServerRow>,
  Made<'tools-look', McpServerRow>,
  Promised<'tools-approve', 'approveTool'>,
  Promised<'tools-check', 'checkTools'>,
  Promised<'tools-try', 'tryTool'>,
  Promised<'window-models', 'models'>,
  Promised<'window-inspect', 'inspectModel'>,
  Promised<'import', 'importModel'>,
  Promised<'window-tasks', 'tasks'>,
  Promised<'window-preview', 'previewTask'>,
  Promised<'window-estimate', 'estimate'>,
  Promised<'window-ready', 'ready'>,
] = [
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
];

before(() => {
  assert.ok(promised.every(Boolean));
  const store = openStore(dataFolder, { mode: 'write' });
  const config = runConfigSchema.parse({ model: 'starter:over-user', tasks: ['arithmetic'], steps: 4 });
  store.append({ ...started('r'), config });
  for (let step = 1; step <= 3; step++) {
    const groups = [1, 2].map((number) => {
      const asked = problem(10 * step + number);
      const trajectories = Array.from({ length: 4 }, (_, sample) => ({
        ...sampleTrajectory(100 * step + 10 * number + sample, asked, sample),
        tokens: [65, 66, 67, 68],
      }));
      return { problem: asked, trajectories };
    });
    store.append({ ...stepEvent('r', step), groups });
  }
  store.close();
  mkdirSync(runFolder(dataFolder, 'r'), { recursive: true });
});

test('runs come with the tags and notes that were given to them', async () => {
  await ask('window-annotate', { run: 'r', tags: ['good'], note: 'the cheap one' });
  const { runs } = await ask('window-runs', {});
  assert.deepEqual(
    runs.map(({ runId, tags, note, step }) => [runId, tags, note, step]),
    [['r', ['good'], 'the cheap one', 3]],
  );
  assert.equal(runs[0].status, 'stopped', 'nobody writes it');
  const detail = await ask('window-run', { run: 'r' });
  assert.deepEqual([detail.tags, detail.summary.runId, detail.config.steps], [['good'], 'r', 4]);
  const { trajectories, tools } = await ask('window-statistics', { run: 'r' });
  assert.equal(trajectories, 24);
  assert.deepEqual(
    detail.tools,
    tools.map(({ name }) => name),
  );
  await assert.rejects(ask('window-annotate', { run: 'none', tags: [], note: '' }), { code: 'not-found' });
});

test('rows come in pages, each beginning after the last of the one before', async () => {
  const pages: unknown[] = [];
  const read = async (after: number) => {
    const { rows, next } = await ask('window-rows', { run: 'r', kind: 'steps', after, limit: 2 });
    pages.push(rows.map((row) => 'step' in row && row.step));
    return next;
  };
  assert.equal(await read(0), 2);
  assert.equal(await read(2), null);
  assert.deepEqual(pages, [[1, 2], [3]]);
  assert.equal((await ask('window-rows', { run: 'r', kind: 'evaluations' })).next, null);
});

test('rows of steps are those after the last one known', async () => {
  const { rows } = await ask('window-rows', { run: 'r', kind: 'steps', after: 2 });
  assert.deepEqual(
    rows.map((row) => 'step' in row && row.step),
    [3],
  );
  assert.deepEqual((await ask('window-rows', { run: 'r', kind: 'evaluations' })).rows, []);
});

test('a trajectory comes with the text of each token and with its own group only', async () => {
  const { rows } = await ask('window-trajectories', { run: 'r', filter: { step: 2 } });
  assert.equal(rows.length, 8);
  const detail = await ask('window-trajectory', { key: rows[0].key });
  assert.equal(detail.tokenTexts?.length, 4);
  assert.deepEqual(
    detail.group.map(({ sample }) => sample),
    [0, 1, 2, 3],
  );
  assert.ok(detail.group.some(({ key }) => key === rows[0].key));
  assert.deepEqual(detail.group.find(({ key }) => key === rows[0].key)?.rewards, detail.trajectory.rewards);
});

test('groups are one row a problem and step, with what their trajectories came to', async () => {
  const { rows, next } = await ask('window-groups', { run: 'r', step: 2 });
  assert.deepEqual([rows.length, next], [2, null]);
  for (const row of rows) {
    const { rows: members } = await ask('window-trajectories', {
      run: 'r',
      filter: { step: row.step, problemId: row.problemId },
    });
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    assert.equal(row.size, members.length);
    assert.equal(row.right, members.filter(({ success }) => success).length);
    assert.equal(row.ungraded, members.filter(({ success }) => success === null).length);
    assert.ok(Math.abs(row.cost - mean(members.map(({ cost }) => cost))) < 1e-9);
    assert.ok(Math.abs(row.calls - mean(members.map(({ calls }) => calls))) < 1e-9);
    assert.equal(row.prompt, members[0].prompt);
  }
  // page by page over all steps, each group once
  const keys: number[] = [];
  for (let after: number | undefined; ; ) {
    const page = await ask('window-groups', { run: 'r', limit: 4, after });
    keys.push(...page.rows.map(({ key }) => key));
    if (page.next === null) break;
    after = page.next;
  }
  assert.equal(new Set(keys).size, 6);
  assert.deepEqual(
    keys,
    [...keys].sort((a, b) => b - a),
  );
});

test('token texts add up to the whole text, a character of several tokens too', () => {
  const { tokenizer } = openAgent('starter:over-user');
  const text = 'What is 12 * 7? héllo → 😀 <tool_call>';
  const tokens = tokenizer.encode(text, { special: true });
  const texts = tokenTexts(tokenizer, tokens);
  assert.equal(texts.length, tokens.length);
  assert.equal(texts.join(''), tokenizer.decode(tokens, { skipSpecial: false }));
  assert.ok(texts.join('').includes('😀'));
  assert.equal(tokenTexts(tokenizer, tokens.slice(0, -1)).length, tokens.length - 1);
});

test('models that can be used are described, one that cannot says why', async () => {
  const { models } = await ask('window-models', {});
  assert.deepEqual(
    models.map(({ name, problem }) => [name, problem]),
    [
      ['starter:over-user', ''],
      ['starter:under-user', ''],
    ],
  );
  assert.ok(models.every(({ parameters, bytes }) => parameters > 100_000 && bytes > parameters));
  const broken = await ask('window-inspect', { model: join(dataFolder, 'nothing') });
  assert.deepEqual([broken.parameters, broken.origin], [0, 'folder']);
  assert.match(broken.problem, /no model folder/);
});

test('a task file is previewed, or its bad lines are named', async () => {
  const good = join(dataFolder, 'good.jsonl');
  const rows = Array.from({ length: 20 }, (_, i) => JSON.stringify({ question: `${i} + 1?`, answer: `${i + 1}` }));
  writeFileSync(good, rows.join('\n'));
  const preview = await ask('window-preview', { file: good, limit: 3 });
  const { train, selection, report } = preview.counts;
  assert.equal(train + selection + report, 20);
  assert.equal(preview.problems.length, 3);
  assert.deepEqual(preview.errors, []);
  const bad = join(dataFolder, 'bad.jsonl');
  writeFileSync(bad, `${rows[0]}\n{"question": 7}\nnot json`);
  const { errors, problems } = await ask('window-preview', { file: bad });
  assert.ok(
    errors.some((line) => line.includes('line 2')) && errors.some((line) => line.includes('line 3')),
    errors.join('\n'),
  );
  assert.deepEqual(problems, []);
  await assert.rejects(ask('window-preview', { file: join(dataFolder, 'none.jsonl') }), { code: 'not-found' });
});

test('an estimate counts what grows with the settings, and takes its time from steps of the same kind', async () => {
  const config = runConfigSchema.parse({ model: 'starter:over-user', tasks: ['arithmetic'] });
  const { config: model } = openAgent('starter:over-user');
  const bytes = (more: object, part: string) =>
    memoryParts(model, runConfigSchema.parse({ ...config, ...more })).find(({ name }) => name === part)!.bytes;
  assert.equal(bytes({ rolloutBatch: 512 }, 'rollouts'), 2 * bytes({ rolloutBatch: 256 }, 'rollouts'));
  assert.ok(bytes({ train: { parameters: 'lora' } }, 'optimizer') < bytes({}, 'optimizer'));
  assert.equal(bytes({}, 'weights'), 8 * 407_136);
  const adapter = (base: string) => bytes({ train: { parameters: 'lora', lora: { base } } }, 'weights');
  assert.equal(adapter('float32') - adapter('float16'), 2 * 407_136);
  assert.ok(bytes({ train: { recompute: true } }, 'activations') < bytes({}, 'activations'));
  const { memory, time } = await ask('window-estimate', { config });
  assert.equal(memory.verdict, 'fits');
  assert.match(time?.basis ?? '', /3 steps of r/);
  const twice = await ask('window-estimate', { config: { ...config, groupSize: 2 * config.groupSize } });
  assert.ok(Math.abs((twice.time?.secondsPerStep ?? 0) / (time?.secondsPerStep ?? 1) - 2) < 1e-9);
  // a step of another length is another step
  const longer = { ...config, limits: { ...config.limits, tokens: 100 } };
  assert.match((await ask('window-estimate', { config: longer })).time?.basis ?? '', /^\d+ rollouts and a gradient/);
  const measured = await ask('window-estimate', { config: { ...config, tasks: ['arithmetic-calculator'] } });
  assert.match(measured.time?.basis ?? '', /^\d+ rollouts and a gradient/);
  assert.ok((measured.time?.seconds ?? 0) > 0);
});

test('a run that could start names its tools and provider; one that could not says why', async () => {
  const config = runConfigSchema.parse({ model: 'starter:over-user', tasks: ['arithmetic', 'multi-hop'] });
  const { tools, provider } = await ask('window-ready', { config });
  assert.deepEqual([...tools].sort(), ['python', 'search']);
  assert.deepEqual([provider.name, provider.gate], ['cpu', 'reference']);
  await assert.rejects(ask('window-ready', { config: { ...config, model: 'imported:none' } }), { code: 'not-found' });
});

test('a chat tells each tool call when it is made and when it is answered, before the answer', async () => {
  const steps: ChatStep[] = [];
  const question = {
    model: 'starter:over-user',
    task: 'arithmetic',
    messages: [{ role: 'user', content: '34*7+5' }],
    answer: 4,
  };
  const { messages } = await ask('chat', question, { item: (item) => void steps.push(item as unknown as ChatStep) });
  const calls = messages.flatMap(({ toolCalls = [] }) => toolCalls);
  assert.ok(calls.length > 0, 'the over-user calls a tool');
  assert.deepEqual(
    steps.map(({ answer, call, name, result }) => [answer, call, name, result?.status ?? null]),
    calls.flatMap(({ name }, i) => [
      [4, i, name, null],
      [4, i, name, 'ok'],
    ]),
  );
  const outputs = messages.filter(({ role }) => role === 'tool').map(({ content }) => content);
  assert.deepEqual(
    steps.flatMap(({ result }) => (result === null ? [] : [result.output.trim()])),
    outputs.map((output) => output.trim()),
  );
  // stopped while the tool works: no result is waited for, and the next answer is whole again
  const stopping = new AbortController();
  let told = 0;
  const stopped = ask('chat', question, {
    signal: stopping.signal,
    item() {
      told++;
      stopping.abort();
    },
  });
  await assert.rejects(stopped, { name: 'AbortError' });
  assert.equal(told, 1);
  assert.deepEqual((await ask('chat', question)).messages, messages);
});

test('new prices wait for the run that they are for, and are taken once', () => {
  setPrices('a', { python: 1 });
  setPrices('a', { python: 2, search: 3 });
  assert.equal(takePrices('b'), null);
  assert.deepEqual(takePrices('a'), { python: 2, search: 3 });
  assert.equal(takePrices('a'), null);
});

test('a deleted run takes its rows, files and notes along; the beginning of a name deletes nothing', async () => {
  const store = openStore(dataFolder, { mode: 'write' });
  store.append(started('run-two'));
  store.close();
  await assert.rejects(ask('window-delete', { run: 'run-t' }), { code: 'not-found' });
  await ask('window-delete', { run: 'r' }).catch((error: unknown) => assert.fail(String(error)));
  assert.deepEqual(
    (await ask('window-runs', {})).runs.map(({ runId }) => runId),
    ['run-two'],
  );
  assert.equal(existsSync(runFolder(dataFolder, 'r')), false);
});
