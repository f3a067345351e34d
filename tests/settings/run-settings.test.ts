import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import {
  checkRunSettings,
  type RawSettings,
  readSettingsFile,
  settingsTemplate,
  withSetting,
} from '../../src-main/settings/run-settings.ts';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';

const folder = mkdtempSync(join(tmpdir(), 'paretune-settings-'));
after(() => rmSync(folder, { recursive: true }));

const least: RawSettings = { model: 'starter:over-user', tasks: ['arithmetic'] };

/** The ParetuneError that an action must throw. */
function thrown(action: () => unknown): ParetuneError {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof ParetuneError, String(error));
    return error;
  }
  assert.fail('nothing was thrown');
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test('a YAML and a JSON file of the same settings give the same run', () => {
  const yaml = file('a.yaml', 'model: starter:over-user\ntasks: [arithmetic]\ntrain:\n  lora: { rank: 4 }\nsteps: 7\n');
  const json = file(
    'a.json',
    '{"model":"starter:over-user","tasks":["arithmetic"],"train":{"lora":{"rank":4}},"steps":7}',
  );
  const config = checkRunSettings(readSettingsFile(yaml));
  assert.deepEqual(config, checkRunSettings(readSettingsFile(json)));
  assert.equal(config.train.lora.rank, 4);
  assert.equal(config.steps, 7);
  assert.deepEqual(config, runConfigSchema.parse({ ...least, steps: 7, train: { lora: { rank: 4 } } }));
});

test('a flag replaces what the file says and leaves the rest', () => {
  let settings: RawSettings = { ...least, steps: 7, prices: { search: 2 } };
  settings = withSetting(settings, 'steps', '9');
  settings = withSetting(settings, 'prices.python', '0.5');
  settings = withSetting(settings, 'train.lora.targets', 'q_proj, v_proj');
  settings = withSetting(settings, 'weights', '[0.5, 0.5]');
  settings = withSetting(settings, 'evaluation.greedy', 'false');
  const config = checkRunSettings(settings);
  assert.equal(config.steps, 9);
  assert.deepEqual(config.prices, { search: 2, python: 0.5 });
  assert.deepEqual(config.train.lora.targets, ['q_proj', 'v_proj']);
  assert.deepEqual(config.weights, [0.5, 0.5]);
  assert.equal(config.evaluation.greedy, false);
});

test('an unknown key is refused with the nearest valid name, wherever it belongs', () => {
  const cases: [RawSettings, RegExp][] = [
    [{ ...least, grupSize: 4 }, /unknown setting grupSize; the nearest is groupSize/],
    [{ ...least, train: { lerningRate: 1 } }, /unknown setting train\.lerningRate; the nearest is train\.learningRate/],
    [{ ...least, learningRate: 1 }, /unknown setting learningRate; the nearest is train\.learningRate/],
    [{ ...least, train: { lora: { rnk: 1 } } }, /the nearest is train\.lora\.rank/],
    [{ ...least, limits: { xyzzyplugh: 1 } }, /known here: calls, tokens, turns, seconds, resultTokens/],
  ];
  for (const [settings, message] of cases) {
    const error = thrown(() => checkRunSettings(settings));
    assert.equal(error.code, 'config');
    assert.match(error.message, message);
  }
  assert.match(thrown(() => withSetting(least, 'stpes', '3')).message, /the nearest is steps/);
});

test('a wrong value is refused with its key, what was found and what is allowed', () => {
  const cases: [RawSettings, string][] = [
    [{ ...least, steps: 'many' }, 'steps: found "many"; allowed: a whole number from 1 to 1000000'],
    [{ ...least, steps: 2.5 }, 'steps: found 2.5; allowed: a whole number from 1 to 1000000'],
    [{ ...least, method: 'ppo' }, 'method: found "ppo"; allowed: one of paretopo, '],
    [{ ...least, prices: { python: -1 } }, 'prices.python: found -1; allowed: a number from 0 to 1000000000000'],
    [{ ...least, train: [] }, 'train: found []; allowed: a table with the keys parameters, lora, '],
    [{ tasks: ['arithmetic'] }, 'model is missing; allowed: text'],
  ];
  for (const [settings, message] of cases) {
    const error = thrown(() => checkRunSettings(settings));
    assert.equal(error.code, 'config');
    assert.ok(error.message.includes(message), error.message);
  }
});

test('all complaints come at once', () => {
  const error = thrown(() => checkRunSettings({ ...least, steps: 0, grupSize: 4, seed: 'x' }));
  assert.equal(error.message.split('\n').length, 3);
});

test('paths in a file are relative to the file, names of built-in tasks stay names', () => {
  const path = file('paths.yaml', 'model: ../agents/mine\ntasks: [arithmetic, data/svamp.json]\n');
  const config = checkRunSettings(readSettingsFile(path));
  assert.equal(config.model, resolve(folder, '../agents/mine'));
  assert.deepEqual(config.tasks, ['arithmetic', join(folder, 'data/svamp.json')]);
});

test('a file that is missing, malformed, hostile or no table is one clear error', () => {
  const bomb = `a: &a [${'x,'.repeat(20)}]\n${'bcdefgh'
    .split('')
    .map((name, i) => `${name}: &${name} [${`*${'abcdefgh'[i]},`.repeat(20)}]`)
    .join('\n')}`;
  assert.equal(thrown(() => readSettingsFile(join(folder, 'none.yaml'))).code, 'not-found');
  assert.equal(thrown(() => readSettingsFile(file('b.yaml', 'a: [1, 2'))).code, 'bad-file');
  assert.equal(thrown(() => readSettingsFile(file('c.yaml', '- 1\n- 2\n'))).code, 'config');
  assert.equal(thrown(() => readSettingsFile(file('d.yaml', 'steps: 1\nsteps: 2\n'))).code, 'bad-file');
  assert.equal(thrown(() => readSettingsFile(file('e.yaml', bomb))).code, 'bad-file');
  assert.equal(thrown(() => readSettingsFile(file('f.yaml', ' '.repeat(1_000_001)))).code, 'bad-file');
  const proto = file('g.json', '{"__proto__": {"steps": 3}, "model": "starter:over-user", "tasks": ["arithmetic"]}');
  assert.match(thrown(() => checkRunSettings(readSettingsFile(proto))).message, /unknown setting __proto__/);
});

test('the template is a valid file once the required settings are filled in, with every default as it is', () => {
  const filled = settingsTemplate()
    .replace(/^model:.*$/m, 'model: starter:over-user')
    .replace(/^tasks:.*$/m, 'tasks: [arithmetic]');
  const uncommented = filled
    .split('\n')
    .slice(1)
    .map((line) => line.replace(/^# /, '').replace(/^#/, ''))
    .filter((line) => !line.includes('python: 1'))
    .map((line) => line.replace(/^prices:$/, 'prices: {}'))
    .join('\n');
  const path = file('template.yaml', uncommented);
  assert.deepEqual(checkRunSettings(readSettingsFile(path)), runConfigSchema.parse(least));
  assert.deepEqual(
    checkRunSettings(readSettingsFile(file('template-plain.yaml', filled))),
    runConfigSchema.parse(least),
  );
});

test('any flag text gives a run or a config error, never anything else', () => {
  const paths = [
    'steps',
    'train.learningRate',
    'prices.x',
    'tasks',
    'model',
    'method',
    '__proto__.x',
    'a.b',
    'weights',
  ];
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.string(), (path, text) => {
      try {
        checkRunSettings(withSetting(least, path, text));
      } catch (error) {
        assert.ok(error instanceof ParetuneError && error.code === 'config', String(error));
      }
    }),
  );
});
