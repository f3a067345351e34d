/** What a new form begins with, what a drop opens, and what the log of a run says. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { dropped } from '../../src-main/app/calls.ts';
import { makeHandles } from '../../src-main/app/handles.ts';
import { methodNames, type RunConfig, readsWeights, runConfigSchema } from '../../src-main/contract/run-config.ts';
import { makeMethod } from '../../src-main/engine/advantage/methods.ts';
import { configOf, draftOf, draftOnto, fieldOf, storedDraft } from '../../src-renderer/runs/draft.ts';
import { runLog } from '../../src-renderer/runs/run-log.ts';
import type { RunView } from '../../src-renderer/runs/run-view.ts';
import { viewOfDrop } from '../../src-renderer/ui/drop-view.ts';

const typed = { ...draftOf(null), name: 'mine', tasks: ['multi-hop'] };

test('a model or tasks chosen elsewhere go on top of what was typed, the settings of a run replace it', () => {
  const onto = draftOnto(typed, { model: 'imported:x' });
  assert.deepEqual([onto.name, onto.model, onto.tasks], ['mine', 'imported:x', ['multi-hop']]);
  const config = runConfigSchema.parse({ model: 'starter:under-user', tasks: ['arithmetic'], steps: 7 });
  const cloned = draftOnto(typed, config);
  assert.deepEqual([cloned.name, cloned.model, cloned.numbers.steps], ['', 'starter:under-user', '7']);
  assert.deepEqual(draftOnto(typed, null), typed);
  assert.deepEqual(draftOnto(null, null), draftOf(null));
});

test('weights are typed for a method that reads them, and every method takes what the form makes of any objectives', () => {
  for (const method of methodNames)
    for (const objectives of [
      ['success', 'tool'],
      ['success', 'tool', 'length'],
    ]) {
      const { config, errors } = configOf({
        ...typed,
        method,
        objectives,
        weights: { success: '3', tool: '2', length: '1' },
      });
      assert.equal(errors, null);
      const run = runConfigSchema.parse(config) as RunConfig;
      assert.doesNotThrow(() => makeMethod(run), method);
      assert.deepEqual(run.weights, readsWeights(run) ? [3, 2, 1].slice(0, objectives.length) : [0.6, 0.4]);
    }
});

test('options of ParetoPO stay with the method that they came for, and a weightless run leaves no weights behind', () => {
  const beta = {
    model: 'starter:over-user',
    tasks: ['arithmetic'],
    method: 'paretopo',
    paretopo: { beta: 0.5 },
  } as const;
  const draft = draftOf(runConfigSchema.parse(beta));
  const optionsOf = (method: string) => runConfigSchema.parse(configOf({ ...draft, method }).config).paretopo.beta;
  assert.deepEqual(['paretopo', 'hvg', 'paretopo'].map(optionsOf), [0.5, 1, 0.5]);
  const three = { ...beta, method: 'hvg', paretopo: {}, objectives: ['success', 'tool', 'length'] } as const;
  const cloned = draftOf(runConfigSchema.parse(three));
  assert.deepEqual(configOf({ ...cloned, method: 'static' }).config?.weights, [0.6, 0.4, 0.2]);
  assert.equal(storedDraft(JSON.stringify({ ...draft, weights: undefined, method: 'hvg' })), null);
});

test('settings of a file keep the model and the tasks that were there where it names none, and say which have no field', () => {
  const {
    model: _,
    tasks: __,
    ...rest
  } = runConfigSchema.parse({ model: 'starter:under-user', tasks: ['arithmetic'], steps: 9 });
  const onto = draftOnto({ ...typed, model: 'imported:x' }, rest);
  assert.deepEqual([onto.model, onto.tasks, onto.numbers.steps], ['imported:x', ['multi-hop'], '9']);
  assert.equal(onto.numbers.everySteps, '10', 'as the command line has it, not as the starter agent');
  const names = [
    'steps',
    'prices.*',
    'train.learningRate',
    'limits.calls',
    'train.clipHigh',
    'paretopo.gamma',
    'x.steps',
  ];
  assert.deepEqual(names.map(fieldOf), [true, true, true, true, false, false, false]);
});

test('a folder or a GGUF file is looked at as a model, JSONL as a task, YAML as settings, JSON as either, anything else is refused', () => {
  const view = (name: string, isFolder = false) => viewOfDrop({ name, isFolder });
  assert.deepEqual(
    [
      view('m', true),
      view('a.JSONL'),
      view('hotpot.json'),
      view('run.YML'),
      view('x.txt'),
      view('jsonl'),
      view('m.Q4_K.GGUF'),
    ],
    ['models', 'tasks', 'json', 'settings', null, null, 'models'],
  );
});

test('a dropped file of a model stands for its folder, a task file for itself', () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'paretune-drop-')), 'my-model');
  mkdirSync(folder);
  for (const name of ['model.safetensors', 'config.json', 'tasks.json']) writeFileSync(join(folder, name), '{}');
  const handles = makeHandles();
  for (const name of ['model.safetensors', 'config.json']) {
    const picked = dropped(handles, join(folder, name));
    assert.deepEqual([picked.name, picked.isFolder, handles.path(picked.handle)], ['my-model', true, folder]);
  }
  const task = dropped(handles, join(folder, 'tasks.json'));
  assert.deepEqual([task.name, task.isFolder], ['tasks.json', false]);
  assert.throws(() => dropped(handles, join(folder, 'gone.jsonl')), { code: 'not-found' });
});

test('the log has notices, prices and the end by step; a running run has no end', () => {
  const view = {
    status: 'failed',
    reason: 'loss is not finite',
    step: 9,
    notices: [{ step: 5, level: 'warning', code: 'x', message: 'watch out' }],
    priceChanges: [{ step: 2, prices: { python: 3 } }],
  } as unknown as RunView;
  const rows = runLog(view);
  assert.deepEqual(
    rows.map(({ step, level }) => [step, level]),
    [
      [2, 'info'],
      [5, 'warning'],
      [9, 'error'],
    ],
  );
  assert.match(rows[0].text, /python 3/);
  assert.match(rows[2].text, /loss is not finite/);
  assert.equal(runLog({ ...view, status: 'running' }).length, 2);
});
