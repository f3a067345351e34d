/** Demonstrations made from other people's data, and chats read as demonstrations. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readOperations } from '../../src-main/engine/tasks/operations.ts';
import { readDemonstrations, toolTraces } from '../../src-main/engine/tasks/tool-traces.ts';
import { openTask } from '../../src-main/engine/tasks/user-task.ts';
import { makeCalculatorTool } from '../../src-main/engine/tools/calculator.ts';
import { makePythonTool } from '../../src-main/engine/tools/python.ts';

const folder = mkdtempSync(join(tmpdir(), 'paretune-traces-'));
after(() => rmSync(folder, { recursive: true }));
const fileOf = (name: string, rows: object[]) => {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  return path;
};
const calculator = { name: 'calculator' as const, call: makeCalculatorTool().call };

const ducks = {
  split: 'train',
  question: 'How much does she make?',
  answer: 'She sells 16 - 3 - 4 = <<16-3-4=9>>9 eggs.\nShe makes 9 * 2 = $<<9*2=18>>18.\n#### 18',
};
const bananas = {
  split: 'train',
  Body: 'There are 290 bananas',
  Question: 'How big is a group?',
  Equation: '( 290.0 / 2.0 )',
  Answer: 145.0,
};
const wrong = { split: 'train', question: 'Really?', answer: '<<2+2=5>>5\n#### 5' };

test('calculator traces make one call an operator and feed results on', async () => {
  const { demonstrations, skipped } = await toolTraces(fileOf('calc.jsonl', [ducks, bananas, wrong]), calculator);
  assert.equal(skipped, 1, 'the tool disagrees with a wrong mark');
  const said = demonstrations.map(({ messages }) =>
    messages.map((m) => m.toolCalls?.[0].arguments.expression ?? m.content),
  );
  assert.deepEqual(said[0], ['How much does she make?', '16-3', '13', '13-4', '9', '9*2', '18', '18']);
  assert.deepEqual(said[1].slice(1), ['290/2', '145', '145']);
});

test('a warm start is shown no question that a task of the same file keeps for selection and report', async () => {
  const rows = Array.from({ length: 200 }, (_, i) => ({
    question: `Tom has ${i} marbles and finds 2. How many has he now?`,
    answer: `<<${i}+2=${i + 2}>>\n#### ${i + 2}`,
    ...(i < 20 && { split: i < 10 ? 'train' : 'test' }),
  }));
  const path = fileOf('splits.jsonl', [...rows, rows[0]]);
  const { demonstrations, skipped, heldOut } = await toolTraces(path, calculator);
  const shown = demonstrations.map(({ messages }) => messages[0].content);
  for (const report of [undefined, fileOf('report.jsonl', [ducks])]) {
    const task = await openTask(path, { report });
    const training = task.problems('train', 1000, 0).map(({ messages }) => messages[0].content);
    assert.deepEqual(
      shown.filter((question) => !training.includes(question)),
      [],
      `report file: ${report}`,
    );
    if (report === undefined) assert.equal(shown.length, training.length);
  }
  for (const { question } of rows.slice(0, 10)) assert.ok(shown.includes(question));
  for (const { question } of rows.slice(10, 20)) assert.ok(!shown.includes(question));
  assert.equal(skipped, 0);
  assert.equal(shown.length + heldOut, 201, 'the repeated question counts as held out');
});

test('python traces hold whole expressions and what the real interpreter answers', async () => {
  const python = makePythonTool({ workers: 1 });
  try {
    const tool = { name: 'python' as const, call: python.call };
    const { demonstrations } = await toolTraces(fileOf('py.jsonl', [ducks, bananas]), tool);
    const said = demonstrations.map(({ messages }) =>
      messages.map((m) => m.toolCalls?.[0].arguments.code ?? m.content),
    );
    assert.deepEqual(said[0].slice(1), ['16-3-4', '9', '9*2', '18', '18']);
    assert.deepEqual(said[1].slice(1), ['290/2', '145.0', '145']);
  } finally {
    await python.close();
  }
});

test('operations come in the order in which they are done, and only arithmetic is read', () => {
  assert.deepEqual(readOperations('2+3*(4-1)')?.steps, [
    { left: 4, operator: '-', right: 1 },
    { left: 3, operator: '*', right: { step: 0 } },
    { left: 2, operator: '+', right: { step: 1 } },
  ]);
  assert.equal(readOperations('$1,200 x .05')?.text, '1200*0.05');
  for (const text of ['', '5*10%', 'x+', '2**3', '(1+2', '1+2)', 'print(1)'])
    assert.equal(readOperations(text), null, text);
});

test('chats with tool calls are read in both conventions, and impossible ones are refused by line', async () => {
  const call = { type: 'function', function: { name: 'python', arguments: { code: '6*7' } } };
  const asText = { id: 'a', type: 'function', function: { name: 'python', arguments: '{"code": "6*7"}' } };
  const chat = (tool_calls: object[]) => ({
    messages: [
      { role: 'user', content: '6*7?' },
      { role: 'assistant', content: null, tool_calls },
      ...tool_calls.map(() => ({ role: 'tool', name: 'python', content: '42' })),
      { role: 'assistant', content: '42' },
    ],
  });
  const [first, second, third] = await readDemonstrations(
    fileOf('chats.jsonl', [chat([call]), chat([asText]), chat([call, call])]),
  );
  assert.deepEqual(first, second);
  assert.deepEqual(first.messages[1], {
    role: 'assistant',
    content: '',
    toolCalls: [{ name: 'python', arguments: { code: '6*7' } }],
  });
  assert.equal(third.messages.length, 5);

  const { messages } = chat([call]);
  const bad = [
    { messages: messages.slice(0, 3) },
    { messages: [messages[0], messages[1], messages[3]] },
    { messages: [messages[0], messages[2], messages[3]] },
  ];
  await assert.rejects(readDemonstrations(fileOf('bad.jsonl', bad)), (error: Error) => {
    assert.match(error.message, /line 1: the last message must be the assistant/);
    assert.match(error.message, /line 2: 1 calls are not answered/);
    assert.match(error.message, /line 3: a tool turn that answers no call/);
    return true;
  });
});

const data = process.env.PARETUNE_DATA ?? '';
const absent =
  !(data && existsSync(join(data, 'gsm8k-train.jsonl'))) && 'PARETUNE_DATA names no folder with gsm8k-train.jsonl';

test('GSM8K and SVAMP give demonstrations for more than nine training rows of ten', { skip: absent }, async () => {
  for (const [name, rows] of [
    ['gsm8k-train.jsonl', 7473],
    ['svamp.jsonl', 1000],
  ] as const) {
    const { demonstrations, skipped, heldOut } = await toolTraces(join(data, name), calculator);
    assert.equal(demonstrations.length + skipped + heldOut, rows);
    const training = demonstrations.length + skipped;
    assert.ok(training > 0.65 * rows && demonstrations.length > 0.9 * training, `${name}: ${demonstrations.length}`);
  }
});
