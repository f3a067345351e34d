/** Task files of users: the shapes, the splits, and that bad or hostile files end in one error that names the lines. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import type { Split } from '../../src-main/contract/records.ts';
import { resolveTask } from '../../src-main/engine/tasks/built-in-tasks.ts';
import { grade } from '../../src-main/engine/tasks/grade.ts';
import type { TaskSource } from '../../src-main/engine/tasks/task.ts';
import { openTask } from '../../src-main/engine/tasks/user-task.ts';

const folder = mkdtempSync(join(tmpdir(), 'paretune-tasks-'));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
function fileOf(content: string | Buffer | object[], extension = 'jsonl'): string {
  const path = join(folder, `data-${files++}.${extension}`);
  writeFileSync(path, Array.isArray(content) ? content.map((row) => JSON.stringify(row)).join('\n') : content);
  return path;
}

const splits: Split[] = ['train', 'selection', 'report'];
const all = (task: TaskSource) => splits.flatMap((split) => task.problems(split, 1e6, 0));
const asked = (i: number) => ({ prompt: `What is ${i} + 1?`, answer: i + 1 });
const many = Array.from({ length: 400 }, (_, i) => asked(i));

async function complaintsOf(path: string): Promise<string> {
  try {
    await openTask(path);
  } catch (error) {
    assert.ok(error instanceof ParetuneError, String(error));
    assert.equal(error.code, 'bad-data');
    return error.message;
  }
  return assert.fail('the file was accepted');
}

describe('shapes', () => {
  test('prompts and messages, with numbers, lists and texts as answers', async () => {
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Capital of France?' },
    ];
    const path = fileOf([
      { messages, answers: ['Paris', 'the city of Paris'], tools: ['search'] },
      { prompt: messages, answer: 'Paris', grader: { kind: 'regex', pattern: 'paris', flags: 'i' } },
      { prompt: '2+2', answer: 4, tools: [{ type: 'function', function: { name: 'python' } }] },
      { question: 'True?', answer: true },
      { prompt: 'Who?', answer: { name: 'Ada' }, grader: { kind: 'json', fields: ['name'] } },
    ]);
    const byPrompt = new Map(all(await openTask(path)).map((problem) => [problem.messages.at(-1)?.content, problem]));
    assert.equal(byPrompt.size, 4, 'the same conversation twice is one problem');
    const capital = byPrompt.get('Capital of France?');
    assert.deepEqual(capital?.answers, ['Paris', 'the city of Paris']);
    assert.deepEqual(capital?.messages, messages);
    assert.deepEqual([capital?.tools, capital?.grader], [['search'], { kind: 'exact' }]);
    assert.deepEqual([byPrompt.get('2+2')?.answers, byPrompt.get('2+2')?.tools], [['4'], ['python']]);
    assert.deepEqual(byPrompt.get('2+2')?.grader, { kind: 'math' }, 'numbers are compared as numbers');
    assert.deepEqual(byPrompt.get('True?')?.answers, ['true']);
    assert.deepEqual(byPrompt.get('Who?')?.answers, ['{"name":"Ada"}']);
  });

  test('GSM8K, SVAMP and HotpotQA by their columns', async () => {
    const [gsm8k] = all(
      await openTask(
        fileOf([{ question: 'How many?', answer: '600*2=<<600*2=1200>>1200\n#### 1,200' }, asked(1), asked(2)]),
      ),
    ).filter((problem) => problem.tags[0] === 'gsm8k');
    assert.deepEqual([gsm8k.answers, gsm8k.grader.kind, gsm8k.tools], [['1200'], 'math', ['python']]);

    const svamp = all(
      await openTask(
        fileOf([
          {
            Body: 'He had 5 and lost 2',
            Question: 'How many are left?',
            Answer: 3.0,
            Equation: '( 5.0 - 2.0 )',
            Type: 'Subtraction',
          },
        ]),
      ),
    );
    assert.deepEqual(svamp[0].messages, [{ role: 'user', content: 'He had 5 and lost 2. How many are left?' }]);
    assert.deepEqual([svamp[0].answers, svamp[0].tags], [['3'], ['Subtraction']]);

    const hotpot = {
      question: 'Where?',
      answer: 'Rome',
      type: 'bridge',
      level: 'easy',
      supporting_facts: [['A', 0]],
      context: [
        ['A', ['One.', ' Two.']],
        ['B', ['Three.']],
      ],
    };
    const task = await openTask(fileOf(JSON.stringify([hotpot], null, 2), 'json'));
    assert.deepEqual(task.corpus, [
      { title: 'A', text: 'One. Two.' },
      { title: 'B', text: 'Three.' },
    ]);
    assert.deepEqual(task.tools, ['search']);
    assert.equal(all(task)[0].grader.kind, 'exact');
  });

  test('a corpus is the one named by the caller, else the one that rows name beside their file', async () => {
    const path = fileOf([{ ...asked(1), corpus: 'docs/corpus.jsonl' }]);
    assert.deepEqual((await openTask(path)).corpus, { path: join(folder, 'docs', 'corpus.jsonl') });
    assert.deepEqual((await openTask(path, { corpus: 'other.json' })).corpus, { path: 'other.json' });
    for (const corpus of ['../secret', '/etc/passwd', 'a/../../b']) {
      assert.match(await complaintsOf(fileOf([{ ...asked(1), corpus }])), /outside its own folder/);
    }
  });
});

describe('splits', () => {
  test('every problem is in exactly one, about 70 / 15 / 15 %, the same ones in whatever order the rows come', async () => {
    const task = await openTask(fileOf(many), { name: 'sums' });
    const reversed = await openTask(fileOf([...many].reverse()), { name: 'sums' });
    const counts = splits.map((split) => task.problems(split, 1e6, 0).length);
    assert.equal(counts[0] + counts[1] + counts[2], many.length);
    assert.ok(counts[0] > 250 && counts[1] > 40 && counts[2] > 40, String(counts));
    const idsOf = (source: TaskSource, split: Split) =>
      source
        .problems(split, 1e6, 0)
        .map(({ id }) => id)
        .sort();
    for (const split of splits) assert.deepEqual(idsOf(task, split), idsOf(reversed, split));
    assert.equal(new Set(all(task).map(({ id }) => id)).size, many.length);
    assert.deepEqual(task.problems('train', 9, 4), task.problems('train', 9, 4));
    assert.notDeepEqual(task.problems('train', 9, 4), task.problems('train', 9, 5));
  });

  test('a small file leaves none empty, named splits win, and another file can be the report split', async () => {
    const small = await openTask(fileOf(many.slice(0, 4)));
    for (const split of splits) assert.ok(small.problems(split, 9, 0).length >= 1, split);

    const named = await openTask(
      fileOf(many.slice(0, 4).map((row, i) => ({ ...row, split: ['train', 'dev', 'test', 'test'][i] }))),
    );
    assert.deepEqual(
      splits.map((split) => named.problems(split, 9, 0).length),
      [1, 1, 2],
    );

    const report = fileOf([asked(3), asked(1000), asked(1001)]);
    const both = await openTask(fileOf(many), { report });
    const reported = both
      .problems('report', 1e6, 0)
      .map(({ messages }) => messages[0].content)
      .sort();
    assert.deepEqual(reported, ['What is 1000 + 1?', 'What is 1001 + 1?'], 'what is trained on is not reported');
  });
});

describe('bad files', () => {
  test('all complaints come at once, each with its line and what was found', async () => {
    const message = await complaintsOf(
      fileOf(
        [
          '{"prompt": "a", "answer": "b"}',
          '{"prompt": "a"',
          '',
          '[1]',
          '{"prompt": "a"}',
          '{"prompt": "x", "answer": "y", "split": "foo"}',
          '{"messages": [{"role": "robot", "content": "x"}], "answer": 1}',
          '{"prompt": "x", "answer": "y", "grader": "fuzzy"}',
        ].join('\r\n'),
      ),
    );
    assert.match(message, /line 2: not JSON/);
    assert.match(message, /line 4: a list \(\[1\]\), not an object/);
    assert.match(message, /line 5: no `answer` and no `answers`, but the columns prompt/);
    assert.match(message, /line 6: `split` is a string \("foo"\), not one of train, selection/);
    assert.match(message, /line 7: a message has the role a string \("robot"\), not one of system, user/);
    assert.match(message, /line 8: `grader` is a string \("fuzzy"\)/);
    assert.doesNotMatch(message, /line 1:|line 3:/);
  });

  test('reading stops at twenty complaints', async () => {
    const message = await complaintsOf(fileOf('nonsense\n'.repeat(50)));
    assert.equal(message.match(/line \d+/g)?.length, 20);
    assert.match(message, /reading stopped here/);
  });

  test('invalid UTF-8, NUL, depth, over-long lines and emptiness are complaints', async () => {
    const row = Buffer.from('{"prompt": "a", "answer": "é"}\n');
    assert.match(
      await complaintsOf(fileOf(Buffer.concat([row, Buffer.from([0x7b, 0xff, 0x7d, 0x0a])]))),
      /line 2: not valid UTF-8/,
    );
    assert.match(await complaintsOf(fileOf('{"prompt": "a\0", "answer": "b"}')), /NUL/);
    assert.match(await complaintsOf(fileOf('{"prompt": "a\\u0000", "answer": "b"}')), /NUL/);
    assert.match(
      await complaintsOf(fileOf(`{"a": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`)),
      /nested deeper than 64/,
    );
    const long = Buffer.concat([Buffer.alloc(9 * 2 ** 20, 0x61), Buffer.from('\n'), row]);
    const message = await complaintsOf(fileOf(long));
    assert.match(message, /line 1: longer than 8388608 bytes/);
    assert.doesNotMatch(message, /line 2/);
    assert.match(await complaintsOf(fileOf('\n \r\n')), /no row/);
  });

  test('a byte order mark and Windows line ends are fine, and keys that reach a prototype are dropped', async () => {
    const task = await openTask(
      fileOf('\ufeff{"prompt": "a", "answer": {"x": {"__proto__": {"admin": 1}, "constructor": 2, "y": 3}}}\r\n'),
    );
    assert.deepEqual(all(task)[0].answers, ['{"x":{"y":3}}']);
    assert.equal(({} as { admin?: number }).admin, undefined);
  });

  test('whatever the bytes, a file is a task or a ParetuneError', async () => {
    const path = join(folder, 'fuzz.jsonl');
    const good = Buffer.from(
      many
        .slice(0, 3)
        .map((row) => JSON.stringify(row))
        .join('\n'),
    );
    const change = fc.tuple(fc.nat(good.length - 1), fc.uint8Array({ maxLength: 4 }));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        let bytes = good;
        for (const [at, put] of changes)
          bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + put.length)]);
        writeFileSync(path, bytes);
        await openTask(path).catch((error) => assert.ok(error instanceof ParetuneError, String(error)));
      }),
      { numRuns: 100, seed: 3 },
    );
  });

  test('names that are no task and files that are not there say what there is', async () => {
    await assert.rejects(resolveTask('aritmetic'), {
      code: 'not-found',
      message: /arithmetic, arithmetic-calculator, multi-hop/,
    });
    await assert.rejects(resolveTask(join(folder, 'none.jsonl')), { code: 'not-found', message: /ENOENT/ });
    await assert.rejects(resolveTask('arithmetic', { report: 'x' }), { code: 'config', message: /report/ });
  });
});

const data = process.env.PARETUNE_DATA ?? '';
const absent = (name: string) =>
  data && existsSync(join(data, name)) ? false : `PARETUNE_DATA names no folder with ${name}`;

describe('real data', () => {
  const expected = [
    { name: 'gsm8k-train.jsonl', rows: 7473, tools: ['python'] },
    { name: 'gsm8k-test.jsonl', rows: 1319, tools: ['python'] },
    { name: 'svamp.jsonl', rows: 1000, tools: ['python'] },
    { name: 'hotpotqa.json', rows: 100, tools: ['search'] },
  ];
  for (const { name, rows, tools } of expected) {
    test(`every row of ${name} is a problem whose own answer is right`, { skip: absent(name) }, async () => {
      const task = await openTask(join(data, name));
      const problems = all(task);
      assert.ok(problems.length <= rows && problems.length >= rows * 0.995, `${problems.length}`);
      assert.deepEqual(task.tools, tools);
      for (const problem of problems) assert.equal(await grade(problem, problem.answers[0]), true, problem.answers[0]);
    });
  }
});
