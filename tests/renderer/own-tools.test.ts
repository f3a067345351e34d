/** The form of an MCP server, inputs of a try, and what becomes of the definitions that a copied run was begun with. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';
import { configOf, draftOf, pinsOf, withTool } from '../../src-renderer/runs/draft.ts';
import { lineDiff } from '../../src-renderer/tools/line-diff.ts';
import { noServer, payloadOf, serverOf } from '../../src-renderer/tools/server-form.ts';
import { argumentOf, inputOf, serversOf } from '../../src-renderer/tools/trial.ts';

const typed = {
  ...noServer,
  name: ' units ',
  command: ' python3 ',
  args: 'units server.py\n\n --flag \r\n$(x)',
  env: 'A, B_2\nC',
};

test('arguments are lines, taken as they are: no quoting, no shell', () => {
  assert.deepEqual(payloadOf(typed, []).payload, {
    name: 'units',
    server: {
      kind: 'stdio',
      command: 'python3',
      args: ['units server.py', ' --flag ', '$(x)'],
      env: ['A', 'B_2', 'C'],
    },
  });
  assert.deepEqual(serverOf({ ...typed, kind: 'http', url: ' https://x.org/mcp ' }), {
    kind: 'http',
    url: 'https://x.org/mcp',
  });
});

test('what is wrong with a server is said at its field', () => {
  const wrong = (changes: Partial<typeof noServer>, taken: string[] = []) =>
    Object.keys(payloadOf({ ...typed, ...changes }, taken).errors ?? {}).sort();
  assert.deepEqual(wrong({}), []);
  assert.deepEqual(wrong({ name: '', command: ' ' }), ['command', 'name']);
  assert.deepEqual(wrong({ name: 'Units!' }), ['name']);
  assert.deepEqual(wrong({}, ['units']), ['name']);
  assert.deepEqual(wrong({ env: 'A=secret' }), ['env']);
  assert.deepEqual(wrong({ args: 'x'.repeat(5000) }), ['args']);
  assert.deepEqual(wrong({ kind: 'http', url: '' }), ['url']);
  for (const url of ['nothing', 'file:///etc/passwd', 'javascript:alert(1)'])
    assert.deepEqual(wrong({ kind: 'http', url }), ['url'], url);
  assert.deepEqual(wrong({ kind: 'http', url: 'http://127.0.0.1:8000/mcp', command: '' }), []);
});

test('an input is all arguments where it is a JSON object, else the text of the main one', () => {
  assert.equal(inputOf('6*7'), '6*7');
  assert.deepEqual(inputOf(' {"a": [1]}'), { a: [1] });
  assert.equal(inputOf('{not json'), '{not json');
  assert.equal(inputOf('[1]'), '[1]');
  assert.equal(argumentOf({ properties: { a: {}, b: {} }, required: ['b'] }), 'b');
  assert.equal(argumentOf({ properties: { a: {} }, required: [] }), 'a');
  assert.equal(argumentOf(null), 'input');
  assert.deepEqual(serversOf(['python', 'mcp:a/x', 'mcp:a/y', 'mcp:b/x']), ['a', 'b']);
});

test('a difference keeps both texts and marks as few lines as it can', () => {
  const lines = (before: string, after: string) => lineDiff(before, after).map(({ kind, text }) => `${kind} ${text}`);
  assert.deepEqual(lines('a\nb\nc', 'a\nx\nc\nd'), ['same a', 'gone b', 'new x', 'same c', 'new d']);
  assert.deepEqual(lines('a', 'a'), ['same a']);
  const text = fc.array(fc.constantFrom('a', 'b', 'c', '{'), { maxLength: 12 }).map((all) => all.join('\n'));
  fc.assert(
    fc.property(text, text, (before, after) => {
      const found = lineDiff(before, after);
      const side = (other: 'gone' | 'new') =>
        found.flatMap(({ kind, text }) => (kind === other ? [] : [text])).join('\n');
      assert.equal(side('new'), before);
      assert.equal(side('gone'), after);
    }),
  );
  const long = Array.from({ length: 3000 }, (_, i) => `${i}`);
  assert.equal(
    lineDiff(long.join('\n'), long.map((line) => `new ${line}`).join('\n')).length,
    6000,
    'too long to be compared: replaced',
  );
});

const tool = 'mcp:calc/calculator';
const pin = 'a'.repeat(64);
const copied = draftOf(
  runConfigSchema.parse({
    ...{ model: 'starter:over-user', tasks: ['arithmetic'] },
    ...{ tools: ['python', tool], toolDefinitions: { [tool]: pin }, prices: { [tool]: 0.5 } },
  }),
);

test('a copy of the settings of a run keeps the definitions and prices of its tools', () => {
  const { config } = configOf(copied);
  assert.deepEqual(config?.toolDefinitions, { [tool]: pin });
  assert.deepEqual(config?.prices, { [tool]: 0.5 });
});

test('a tool that was taken out leaves no definition behind, and comes back as the one approved now', () => {
  const without = withTool(copied, tool);
  assert.deepEqual([without.tools, pinsOf(without)], [['python'], {}]);
  assert.deepEqual(configOf(without).config?.toolDefinitions, {});
  const again = withTool(without, tool);
  assert.deepEqual([again.tools, pinsOf(again)], [['python', tool], {}]);
  assert.deepEqual(pinsOf(withTool(copied, 'python')), { [tool]: pin }, 'others keep theirs');
  // by any other way too
  assert.deepEqual(configOf({ ...copied, tools: [] }).config?.toolDefinitions, {});
});
