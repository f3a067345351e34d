import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readEnvironment } from '../../src-main/cli/environment.ts';
import { editDistance, nearestName } from '../../src-main/settings/nearest-name.ts';
import { bytes, change, cost, count, duration, percent, percentWithInterval, table } from '../../src-main/cli/table.ts';

test('columns are as wide as their widest cell, and no line ends in spaces', () => {
  const text = table(
    [{ title: 'run' }, { title: 'steps', align: 'right' }, { title: '' }],
    [
      ['arithmetic-1', '7', 'ok'],
      ['é', '120', ''],
    ],
  );
  assert.deepEqual(text.split('\n'), ['run           steps', 'arithmetic-1      7  ok', 'é               120']);
});

test('numbers are written as people read them', () => {
  assert.equal(percent(0.8142), '81.4 %');
  assert.equal(percent(Number.NaN), '-');
  assert.equal(percentWithInterval(0.8142, 0.79, 0.836), '81.4 % (79.0-83.6)');
  assert.deepEqual([0, 0.0123, 0.5, 1.005, 12.34, 640.2, 2e7, 1e-5, Number.NaN].map(cost), [
    '0',
    '0.0123',
    '0.50',
    '1.00',
    '12.3',
    '640',
    '2.00e+7',
    '1.00e-5',
    '-',
  ]);
  assert.deepEqual([change(2, 0.92), change(1, 1.5), change(1, 1), change(0, 1)], ['-54 %', '+50 %', '0 %', '-']);
  assert.deepEqual([45_000, 240_000, 7_800_000].map(duration), ['45 s', '4 min', '2 h 10 min']);
  assert.deepEqual([999, 14_200_000, 2_500].map(bytes), ['999 B', '14 MB', '2.5 kB']);
  assert.equal(count(12_340), '12,340');
});

test('a mistyped name finds the one it was meant to be, and a strange one finds none', () => {
  const names = ['groupSize', 'steps', 'learningRate'];
  assert.equal(nearestName('grupSize', names), 'groupSize');
  assert.equal(nearestName('STPES', names), 'steps');
  assert.equal(nearestName('learning_rate', names), 'learningRate');
  assert.equal(nearestName('banana', names), undefined);
  assert.equal(nearestName('x', []), undefined);
});

test('edit distance counts inserts, deletes, replacements and swaps; it is symmetric', () => {
  assert.equal(editDistance('', 'abc'), 3);
  assert.equal(editDistance('abcd', 'abdc'), 1);
  assert.equal(editDistance('kitten', 'sitting'), 3);
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
      const distance = editDistance(a, b);
      assert.equal(distance, editDistance(b, a));
      assert.equal(distance === 0, a === b);
      assert.ok(distance <= Math.max(a.length, b.length));
    }),
  );
});

test('the data folder, the patience with the engine and the hub come from the environment, else from the platform', () => {
  const named = readEnvironment({ PARETUNE_HOME: '/somewhere', PARETUNE_ENGINE_SILENCE_SECONDS: '2' });
  const hub = { endpoint: 'https://huggingface.co', token: null, offline: false };
  assert.deepEqual(named, { dataFolder: '/somewhere', engineSilenceMs: 2000, hub });
  const ofHub = readEnvironment({ HF_ENDPOINT: 'https://hub.example', HF_TOKEN: ' hf_x\n', HF_HUB_OFFLINE: '1' });
  assert.deepEqual(ofHub.hub, { endpoint: 'https://hub.example', token: 'hf_x', offline: true });
  const usual = readEnvironment({});
  assert.match(usual.dataFolder, /paretune$/i);
  assert.ok(usual.engineSilenceMs >= 10 * 60_000);
  assert.equal(readEnvironment({ PARETUNE_ENGINE_SILENCE_SECONDS: 'soon' }).engineSilenceMs, usual.engineSilenceMs);
});
