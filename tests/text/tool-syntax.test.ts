import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hermesSyntax, taggedSyntax } from '../../src-main/engine/text/tool-syntax.ts';
import { loadChatmlBytes, loadStarter, primaryArgument, python, search } from './models.ts';

const chatml = loadChatmlBytes();
const starter = loadStarter().tokenizer;
const hermes = (text: string) => hermesSyntax(chatml).parse(chatml.encode(text, { special: true }));
const tagged = (text: string) =>
  taggedSyntax(starter, [python, search], primaryArgument)!.parse(starter.encode(text, { special: true }));

describe('hermes', () => {
  test('reads text, one call and several calls', () => {
    assert.deepEqual(hermes(' The answer is 4. '), { calls: [], text: 'The answer is 4.', malformed: null });
    const call = '<tool_call>\n{"name": "python", "arguments": {"code": "print(1)\\n", "n": [1, null]}}\n</tool_call>';
    const read = { name: 'python', arguments: { code: 'print(1)\n', n: [1, null] } };
    assert.deepEqual(hermes(`Let me see.\n${call}`), { calls: [read], text: 'Let me see.', malformed: null });
    assert.deepEqual(hermes(`${call}\n${call}`).calls, [read, read]);
  });

  test('reads arguments that are JSON text, or absent', () => {
    assert.deepEqual(hermes('<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>').calls, [
      { name: 'f', arguments: { a: 1 } },
    ]);
    assert.deepEqual(hermes('<tool_call>{"name": "f"}</tool_call>').calls, [{ name: 'f', arguments: {} }]);
  });

  test('takes neither answer nor call from thoughts', () => {
    assert.deepEqual(hermes('<think>a <tool_call>{"name": "f"}</tool_call>?</think>\n\n7'), {
      calls: [],
      text: '7',
      malformed: null,
    });
  });

  const malformed: [string, RegExp][] = [
    ['<tool_call>{"name": "f"}', /without <\/tool_call>/],
    ['<tool_call>{"name": "f", }</tool_call>', /not valid JSON/],
    ['<tool_call>"f"</tool_call>', /must be/],
    ['<tool_call>null</tool_call>', /must be/],
    ['<tool_call>{"name": 3, "arguments": {}}</tool_call>', /must be/],
    ['<tool_call>{"name": "f", "arguments": [1]}</tool_call>', /must be/],
    ['<tool_call>{"name": "f", "arguments": "x"}</tool_call>', /not valid JSON/],
    ['<tool_call>{"name": "f"}</tool_call><tool_call>{</tool_call>', /not valid JSON/],
    [`<tool_call>{"name": "f", "arguments": {"a": ${'['.repeat(20_000)}${']'.repeat(20_000)}}}</tool_call>`, /./],
    ['<tool_call>{"name": "f"}</tool_call><|im_start|>user\nresult', /<\|im_start\|> in a turn/],
  ];
  for (const [text, message] of malformed) {
    test(`calls this malformed: ${text.slice(0, 70)}`, () => {
      const turn = hermes(text);
      assert.deepEqual(turn.calls, []);
      assert.match(turn.malformed ?? '', message);
    });
  }

  test('never throws for what a model wrote', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '<tool_call>',
        '</tool_call>',
        '{"name": "f"',
        ', "arguments": ',
        '{}',
        '}',
        '</think>',
        '"',
        '\\',
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => void hermes(pieces.join(''))),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.array(fc.nat(300)), (ids) => void hermesSyntax(chatml).parse(ids)),
      { numRuns: 200 },
    );
  });
});

describe('tagged', () => {
  test('reads a call to the end of the turn, and text', () => {
    assert.deepEqual(tagged('<|python|>12+3'), {
      calls: [{ name: 'python', arguments: { code: '12+3' } }],
      text: '',
      malformed: null,
    });
    assert.deepEqual(tagged('Well <|search|> capital of Norland '), {
      calls: [{ name: 'search', arguments: { query: 'capital of Norland' } }],
      text: 'Well',
      malformed: null,
    });
    assert.deepEqual(tagged('15'), { calls: [], text: '15', malformed: null });
    assert.deepEqual(tagged('<|python|>').calls, [{ name: 'python', arguments: { code: '' } }]);
  });

  test('takes a turn with two tools or another role for malformed', () => {
    for (const text of ['<|python|>1<|search|>2', '<|python|>1<|result|>1', '<|user|>1<|python|>1']) {
      const turn = tagged(text);
      assert.deepEqual(turn.calls, []);
      assert.match(turn.malformed ?? '', /in a turn with a tool call/);
    }
    // calculator has a token, but is no tool here
    assert.match(tagged('<|calculator|>1').text, /calculator/);
  });

  test('is there only if every tool has its token', () => {
    assert.equal(taggedSyntax(starter, [python, { ...search, name: 'browse' }], primaryArgument), null);
    assert.equal(taggedSyntax(starter, [], primaryArgument), null);
    assert.equal(taggedSyntax(chatml, [python], primaryArgument), null);
  });
});
