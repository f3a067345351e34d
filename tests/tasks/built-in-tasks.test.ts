/** The two built-in tasks: splits, determinism, answers, and demonstrations that say only what tools really answer. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Split } from '../../src-main/contract/records.ts';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { evaluateInteger } from '../../src-main/engine/tasks/arithmetic-exercises.ts';
import { builtInTaskNames, resolveTask } from '../../src-main/engine/tasks/built-in-tasks.ts';
import { encyclopediaCorpus, encyclopediaWords, facts } from '../../src-main/engine/tasks/encyclopedia.ts';
import { drawDistinct, permutation, splitOf } from '../../src-main/engine/tasks/splits.ts';
import type { Demonstration, Start } from '../../src-main/engine/tasks/task.ts';

const splits: Split[] = ['train', 'selection', 'report'];
const starts: Start[] = ['over-user', 'under-user'];
const prompt = (demonstration: Demonstration) => demonstration.messages[0].content;
const answer = (demonstration: Demonstration) => demonstration.messages.at(-1)?.content;
const calls = ({ messages }: Demonstration) => messages.flatMap((message) => message.toolCalls ?? []);
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

for (const name of builtInTaskNames) {
  describe(`the task ${name}`, async () => {
    const task = await resolveTask(name);
    const drawn = Object.fromEntries(splits.map((split) => [split, task.problems(split, 1200, 5)]));

    test('gives the same problems for the same seed, others for another, and never one twice', () => {
      for (const split of splits) {
        assert.deepEqual(task.problems(split, 1200, 5), drawn[split]);
        assert.notDeepEqual(task.problems(split, 1200, 6), drawn[split]);
        assert.equal(new Set(drawn[split].map((problem) => problem.id)).size, drawn[split].length);
      }
    });

    test('keeps its splits apart, but for what is meant to be known by heart', () => {
      const train = new Set(task.problems('train', 20_000, 1).map((problem) => problem.id));
      for (const split of ['selection', 'report'] as const) {
        const shared = drawn[split].filter((problem) => train.has(problem.id));
        assert.ok(shared.length > 0);
        assert.ok(shared.every((problem) => !problem.unseen));
        assert.ok(drawn[split].some((problem) => problem.unseen));
      }
      const selection = new Set(drawn.selection.filter((problem) => problem.unseen).map((problem) => problem.id));
      assert.ok(drawn.report.every((problem) => !selection.has(problem.id)));
    });

    test('demonstrates nothing that selection or report ask and mark as unseen', () => {
      const held = new Set(
        [...task.problems('report', 20_000, 1), ...task.problems('selection', 20_000, 1)]
          .filter((p) => p.unseen)
          .map((p) => p.id),
      );
      for (const start of starts) {
        for (const phase of [1, 2] as const) {
          const shown = task.demonstrations?.(1000, 3, { start, phase }) ?? [];
          assert.equal(shown.length, 1000);
          assert.deepEqual(
            shown.filter((demonstration) => held.has(prompt(demonstration))),
            [],
          );
        }
      }
    });

    test('shows an over-user that calls often and an under-user that hardly does', () => {
      const callsOf = (start: Start) =>
        mean((task.demonstrations?.(2000, 3, { start, phase: 2 }) ?? []).map((d) => calls(d).length));
      assert.ok(callsOf('over-user') > 1.7);
      assert.ok(callsOf('under-user') < 0.6);
    });

    test('calls only its own tool, at most four times, and closes every call with a result', () => {
      for (const { messages } of task.demonstrations?.(1000, 4, { start: 'over-user', phase: 2 }) ?? []) {
        assert.equal(messages.length % 2, 0);
        assert.ok(messages.length <= 10);
        messages.slice(1, -1).forEach((message, i) => {
          assert.equal(message.role, i % 2 === 0 ? 'assistant' : 'tool');
          assert.equal(i % 2 === 0 ? message.toolCalls?.[0].name : message.name, task.tools[0]);
        });
        assert.equal(messages.at(-1)?.toolCalls, undefined);
      }
    });
  });
}

test('arithmetic demonstrations hold true results, and answers that are right about as often as their habit says', async () => {
  for (const [name, argument] of [
    ['arithmetic', 'code'],
    ['arithmetic-calculator', 'expression'],
  ] as const) {
    const task = await resolveTask(name);
    const shown = task.demonstrations?.(3000, 8, { start: 'over-user', phase: 2 }) ?? [];
    for (const { messages } of shown) {
      messages.forEach((message, i) => {
        if (!message.toolCalls) return;
        const expression = String(message.toolCalls[0].arguments[argument]);
        assert.doesNotMatch(expression, /(?<!\d)0\d/, 'Python refuses leading zeros');
        assert.equal(messages[i + 1].content, String(evaluateInteger(expression)));
        if (name === 'arithmetic-calculator') assert.match(expression, /^-?\d+[-+*]\d+$/);
      });
    }
    const right = mean(shown.map((d) => Number(answer(d) === String(evaluateInteger(prompt(d))))));
    assert.ok(right > 0.9 && right < 0.99, `${right}`);
  }
});

test('the expression evaluator agrees with JavaScript and refuses what is no expression', () => {
  const random = randomStream(1, 'expressions');
  for (let i = 0; i < 300; i++) {
    const text = `(${random.int(0, 99)}${random.pick(['+', '-', '*'])}${random.int(0, 99)})*${random.int(0, 9)}-${random.int(0, 99)}`;
    assert.equal(evaluateInteger(text), Number(Function(`return ${text}`)()) + 0, text);
  }
  for (const bad of ['', '1+', '(1', '1)', '1 +2', '1/2', '1**2', 'a', '9999999999*9999999999']) {
    assert.equal(evaluateInteger(bad), null, bad);
  }
});

test('multi-hop demonstrations search for what the documents hold, and full searches end at the answer', async () => {
  const task = await resolveTask('multi-hop');
  const documents = new Set(encyclopediaCorpus.map(({ text }) => text));
  const answers = new Map(task.problems('train', 20_000, 1).map((problem) => [problem.id, problem.answers[0]]));
  const shown = task.demonstrations?.(3000, 8, { start: 'over-user', phase: 2 }) ?? [];
  for (const { messages } of shown) {
    messages.forEach((message, i) => {
      if (!message.toolCalls) return;
      const found = messages[i + 1].content;
      assert.ok(documents.has(found));
      assert.ok(found.startsWith(`${message.toolCalls[0].arguments.query} is `));
    });
  }
  const right = mean(
    shown.map((demonstration) => Number(answer(demonstration) === answers.get(prompt(demonstration)))),
  );
  assert.ok(right > 0.88 && right < 0.97, `${right}`);
});

test('every word of the encyclopedia task is in its list once, within 150 to 300 words', async () => {
  const known = new Set(encyclopediaWords);
  assert.equal(known.size, encyclopediaWords.length);
  assert.ok(known.size >= 150 && known.size <= 300);
  const task = await resolveTask('multi-hop');
  for (const { messages } of task.demonstrations?.(500, 1, { start: 'under-user', phase: 1 }) ?? []) {
    for (const { content, toolCalls } of messages) {
      const text = toolCalls ? String(toolCalls[0].arguments.query) : content;
      for (const word of text.split(' ')) assert.ok(known.has(word), word);
    }
  }
});

test('a third of the facts start from a famous name, and no two facts share relation and subject', () => {
  const famous = facts.filter((fact) => fact.subject.famous).length / facts.length;
  assert.ok(Math.abs(famous - 1 / 3) < 0.02);
  assert.equal(new Set(facts.map((fact) => `${fact.relation} of ${fact.subject.name}`)).size, facts.length);
});

test('a permutation holds every index once, and distinct draws stop when all sources are empty', () => {
  for (const size of [0, 1, 2, 17, 300]) {
    const order = [...permutation(size, randomStream(2, size))];
    assert.deepEqual(
      [...order].sort((a, b) => a - b),
      Array.from({ length: size }, (_, i) => i),
    );
  }
  const sources = [
    { weight: 1, items: ['a', 'b'].values() },
    { weight: 0, items: ['never'].values() },
    { weight: 5, items: ['c'].values() },
  ];
  assert.deepEqual(drawDistinct(sources, 10, randomStream(1)).sort(), ['a', 'b', 'c']);
});

test('splits follow CRC-32 and their parts', () => {
  // crc32('123456789') = 0xcbf43926 is the algorithm's published check value; % 10 = 2
  assert.equal(splitOf('123456789', [3, 1, 6]), 'train');
  assert.equal(splitOf('123456789', [2, 1, 7]), 'selection');
  assert.equal(splitOf('123456789', [1, 1, 8]), 'report');
});
