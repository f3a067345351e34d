/** One side of the chat: tool calls as they happen, and what an answer that never came leaves behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatStep } from '../../src-main/contract/window-records.ts';
import { answered, asked, newSide, unanswered, withStep } from '../../src-renderer/frontier/conversation.ts';

const step = (answer: number, call: number, output: string | null): ChatStep => ({
  answer,
  call,
  name: 'python',
  arguments: { code: '1+1' },
  result: output === null ? null : { status: 'ok', output, milliseconds: 1 },
});

test('calls of the answer under way are shown in order, each with its result once it is there', () => {
  let side = asked(newSide('start', '0'), '1+1', 7);
  for (const told of [step(7, 0, null), step(7, 1, null), step(7, 0, '2'), step(6, 0, 'of another answer')])
    side = withStep(side, told);
  assert.deepEqual(
    side.live.map(({ call, result }) => [call, result?.output ?? null]),
    [
      [0, '2'],
      [1, null],
    ],
  );
  side = answered(side, [{ role: 'assistant', content: '2' }], 'cost 1');
  assert.deepEqual([side.live, side.answer, side.note, side.messages.length], [[], null, 'cost 1', 2]);
  assert.equal(withStep(side, step(7, 1, 'late')), side);
});

test('a message that was not answered leaves the conversation, and why is said', () => {
  const first = answered(asked(newSide('start', '0'), 'a', 1), [{ role: 'assistant', content: 'b' }], '');
  const stopped = unanswered(withStep(asked(first, 'c', 2), step(2, 0, null)), 'Stopped.');
  assert.deepEqual(stopped.messages, first.messages);
  assert.deepEqual([stopped.live, stopped.answer, stopped.note, stopped.failed], [[], null, 'Stopped.', true]);
  assert.equal(asked(stopped, 'c', 3).failed, false);
});
