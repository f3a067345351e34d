import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { isSettingsFile, readFormSettings } from '../../src-main/settings/form-settings.ts';
import { settingsTemplate } from '../../src-main/settings/run-settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'paretune-form-'));
after(() => rmSync(folder, { recursive: true }));
const known = { models: ['starter:over-user'], tasks: ['arithmetic'] };

function file(text: string | Uint8Array, name = 'run.yaml'): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}
const read = (text: string | Uint8Array) => readFormSettings(file(text), known);

test('a file is taken with its defaults filled in, its paths from its own folder, and what it sets is named', () => {
  mkdirSync(join(folder, 'model'), { recursive: true });
  const { config, given, complaints } = read(
    'model: ./model\ntasks: [arithmetic]\ntrain: {learningRate: 1e-4}\nprices: {a: 2}\n',
  );
  assert.deepEqual(complaints, []);
  assert.deepEqual(given, ['model', 'tasks', 'prices.*', 'train.learningRate']);
  assert.equal(config?.model, join(folder, 'model'));
  assert.equal(config?.train.learningRate, 1e-4);
  assert.equal(config?.steps, 60);
  const without = read('{"steps": 9}');
  assert.equal(without.config?.steps, 9);
  assert.ok(!('model' in (without.config ?? {})) || without.config?.model === undefined);
});

test('every complaint has the line of its setting, and says what was found and what is allowed', () => {
  const text = [
    'model: starter:over-user', // 1
    'setps: 3',
    'prices:',
    '  python: -1', // 4
    'train:',
    '  learningRate: .nan', // 6
    '  lora:',
    '    rnak: 4', // 8
    'method: sarsa',
    'tools:',
    '  - python',
    '  - 7', // 12
  ].join('\n');
  const { config, complaints } = read(text);
  assert.equal(config, null);
  const byLine = new Map(complaints.map(({ line, message }) => [line, message]));
  assert.match(byLine.get(2) ?? '', /unknown setting setps; the nearest is steps/);
  assert.match(byLine.get(4) ?? '', /prices\.python: found -1; allowed: a number from 0/);
  assert.match(byLine.get(6) ?? '', /train\.learningRate: found NaN; allowed: a number from 0 to 1/);
  assert.match(byLine.get(8) ?? '', /unknown setting train\.lora\.rnak; the nearest is train\.lora\.rank/);
  assert.match(byLine.get(9) ?? '', /method: found "sarsa"; allowed: one of paretopo/);
  assert.match(byLine.get(12) ?? '', /tools\.1: found 7; allowed: text/);
  assert.equal(complaints.length, 6);
});

test('a model, a task or a file that is not there is named with what there is', () => {
  const { complaints } = read(
    'model: starter:nobody\ntasks:\n  - arithmetic\n  - maths.jsonl\ntaskOptions: {corpus: c.txt}\n',
  );
  assert.deepEqual(
    complaints.map(({ line }) => line),
    [1, 4, 5],
  );
  assert.match(complaints[0].message, /found "starter:nobody", which is not there; allowed: starter:over-user/);
  assert.match(complaints[1].message, /tasks\.1: found "maths\.jsonl"/);
});

test('what is no table of settings is one complaint, also where it is hostile', () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 9 }, (_, i) => `k${i}: &k${i} [${Array.from({ length: 9 }, () => (i ? `*k${i - 1}` : '*a')).join()}]`).join('\n')}`;
  for (const [text, message, line] of [
    ['', /holds no setting/, null],
    ['- a\n- b', /allowed: a table of settings/, 1],
    ['steps: 3\nbad: [1', /not valid YAML/, 2],
    ['steps: 3\nsteps: 4', /not valid YAML: Map keys must be unique/, 2],
    [bomb, /alias/i, null],
    ['['.repeat(200_000), /nested too deeply|not valid YAML/, null],
    [new Uint8Array([0xff, 0xfe, 0x73, 0x00]), /not UTF-8 text/, null],
    [new Uint8Array(1_000_001), /larger than/, null],
  ] as const) {
    const { config, complaints } = read(text);
    assert.equal(config, null);
    assert.match(complaints[0].message, message);
    if (line !== null) assert.equal(complaints[0].line, line, complaints[0].message);
  }
  assert.throws(() => readFormSettings(join(folder, 'gone.yaml'), known), { code: 'not-found' });
});

test('the template as it is complains of what it asks to be filled in', () => {
  const { complaints } = read(settingsTemplate());
  assert.deepEqual(
    complaints.map(({ message }) => message.split(':')[0]),
    ['model', 'tasks'],
  );
  assert.ok(complaints.every(({ line }) => line !== null));
});

test('any text is settings or complaints, never anything else', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 200, unit: fc.constantFrom(...'{}[]:,-&*!|>#"\'\n ab1.~__proto__'.split('')) }),
      (text) => {
        const { config, complaints } = read(text);
        assert.equal(config === null, complaints.length > 0);
      },
    ),
  );
});

test('JSON with a setting in its table is settings, also where a comma is wrong; rows of a task are not', () => {
  const json = (text: string | Uint8Array) => isSettingsFile(file(text, 'x.json'));
  for (const text of ['{"steps": 3}', '{\n  "model": "x",\n  "tasks": [],,\n}', '{ "method": "grpo" }\n']) {
    assert.equal(json(text), true, text);
  }
  const rows = [
    '[{"question": "a"}]',
    '{"prompt": "a", "answer": "b", "tools": []}',
    '{"prompt":"a"}\n{"prompt":"b"}',
    '{',
    '7',
  ];
  for (const text of [...rows, '', new Uint8Array([0xff]), new Uint8Array(1_000_001)]) assert.equal(json(text), false);
  assert.equal(isSettingsFile('x.YML'), true);
});
