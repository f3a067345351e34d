import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ToolResult } from '../../src-main/contract/records.ts';
import { memoised } from '../../src-main/engine/tools/memoised.ts';
import {
  checkTools,
  closeTools,
  makeTools,
  requireHealthyTools,
  toolNames,
} from '../../src-main/engine/tools/registry.ts';
import type { Tool } from '../../src-main/engine/tools/tool.ts';
import { tryCalls } from '../../src-main/engine/tools/try.ts';

const corpus = {
  documents: 1,
  search: (query: string) => (query === 'a' ? [{ title: 'A', text: 'first letter' }] : []),
};

/** A tool that counts its calls and answers with `answer`. */
function counting(answer: (calls: number) => Promise<ToolResult> | ToolResult): Tool & { calls: number } {
  const tool = {
    calls: 0,
    spec: { name: 'counting', description: '', parameters: { type: 'object' as const, properties: {}, required: [] } },
    primaryArgument: 'x',
    call: async () => answer(++tool.calls),
    check: async () => ({ ok: false, message: 'broken', milliseconds: 0 }),
    close: async () => {},
  };
  return tool;
}

const ok = (output: string): ToolResult => ({ status: 'ok', output, milliseconds: 5 });

test('tools are made by name, in order, and all are healthy', async () => {
  const tools = makeTools(['search', 'python', 'calculator'], { corpus, python: { workers: 1 } });
  assert.deepEqual([...tools.keys()], ['search', 'python', 'calculator']);
  for (const [name, { spec, primaryArgument }] of tools) {
    assert.equal(spec.name, name);
    assert.deepEqual(spec.parameters.required, [primaryArgument]);
  }
  const health = await checkTools(tools);
  assert.deepEqual(
    [...health.values()].map(({ ok: isOk }) => isOk),
    [true, true, true],
  );
  await requireHealthyTools(tools);
  await closeTools(tools);
});

test('an unknown name is refused with the known ones, a search without corpus with what it lacks', () => {
  assert.throws(() => makeTools(['calculator', 'pyton']), { code: 'tool', message: new RegExp(toolNames.join(', ')) });
  assert.throws(() => makeTools(['constructor']), { code: 'tool' });
  assert.throws(() => makeTools(['search']), { code: 'tool', message: /corpus/ });
});

test('a broken tool is named', async () => {
  const tools = new Map([['odd', counting(() => ok(''))]]);
  await assert.rejects(requireHealthyTools(tools), { code: 'tool', message: /odd \(broken\)/ });
});

test('a remembered call is not run again, nor is one that is still running', async () => {
  const tool = counting((calls) => ok(`answer ${calls}`));
  const memo = memoised(tool);
  const both = await Promise.all([memo.call({ x: '1' }), memo.call({ x: '1' })]);
  assert.deepEqual(
    both.map(({ output }) => output),
    ['answer 1', 'answer 1'],
  );
  assert.equal((await memo.call({ x: '2' })).output, 'answer 2');
  const again = await memo.call({ x: '1' });
  assert.equal(again.output, 'answer 1');
  assert.equal(tool.calls, 2);
});

test('the answer that was unused for longest is forgotten first', async () => {
  const tool = counting((calls) => ok(`answer ${calls}`));
  const memo = memoised(tool, 2);
  for (const x of ['1', '2', '1', '3']) await memo.call({ x });
  assert.equal((await memo.call({ x: '1' })).output, 'answer 1');
  assert.equal((await memo.call({ x: '2' })).output, 'answer 4');
});

test('neither a time-out nor a failure of the tool is remembered', async () => {
  const slow = counting((calls) => ({ ...ok(''), status: calls === 1 ? 'timeout' : 'ok' }));
  const memo = memoised(slow);
  assert.equal((await memo.call({})).status, 'timeout');
  assert.equal((await memo.call({})).status, 'ok');
  const failing = memoised(
    counting((calls) => {
      if (calls === 1) throw new Error('gone');
      return ok('back');
    }),
  );
  await assert.rejects(failing.call({}), /gone/);
  assert.equal((await failing.call({})).output, 'back');
});

test('tried calls come back in order, from objects or texts, and each is seen as it comes', async () => {
  const [tool] = makeTools(['calculator']).values();
  const seen: string[] = [];
  const results = await tryCalls(tool, ['1+2', { expression: '1/0' }, {}], ({ status }, i) =>
    seen.push(`${i} ${status}`),
  );
  assert.deepEqual(
    results.map(({ status }) => status),
    ['ok', 'error', 'error'],
  );
  assert.equal(results[0].output, '3');
  assert.ok(results.every(({ milliseconds }) => milliseconds >= 0));
  assert.deepEqual(seen, ['0 ok', '1 error', '2 error']);
  await assert.rejects(tryCalls(tool, ['1+2', 3]), { code: 'usage', hint: /"expression"/ });
});
