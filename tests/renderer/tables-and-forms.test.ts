/** Scales, pages, undo, drafts, CSV, differences, tokens: the logic under the window's tables and forms. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { configDifference } from '../../src-renderer/compare/config-difference.ts';
import { configOf, draftOf, storedDraft } from '../../src-renderer/runs/draft.ts';
import { doubt, spansOf } from '../../src-renderer/trajectories/spans.ts';
import { toCsv } from '../../src-renderer/ui/csv.ts';
import { noPages, rowsOf, visibleRange, wantsMore, withPage } from '../../src-renderer/ui/paging.ts';
import {
  formatBytes,
  formatChange,
  formatNumber,
  formatSeconds,
  linearScale,
  paddedDomain,
  ticks,
} from '../../src-renderer/ui/scales.ts';
import { type Toast, withToast } from '../../src-renderer/ui/toasts.ts';
import { edited, historyOf, redone, undone } from '../../src-renderer/ui/undo.ts';

const root = resolve(import.meta.dirname, '../..');

test('ticks are round, lie within the ends and are about as many as asked for', () => {
  assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(0.68, 0.88, 5), [0.7, 0.75, 0.8, 0.85]);
  fc.assert(
    fc.property(
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
      (low, span) => {
        const found = ticks(low, low + span, 6);
        assert.ok(found.length <= 7);
        for (const value of found) assert.ok(value >= low - span * 1e-6 && value <= low + span * (1 + 1e-6));
      },
    ),
  );
});

test('a domain of one value still has a width, and a scale of none maps to the middle', () => {
  const [low, high] = paddedDomain([2, 2]);
  assert.ok(low < 2 && high > 2);
  assert.equal(linearScale([1, 1], [0, 10])(1), 5);
  assert.deepEqual(paddedDomain([0.99], 0.5, 0, 1)[1], 1);
  assert.deepEqual(
    paddedDomain(
      Array.from({ length: 300_000 }, (_, i) => i),
      0,
    ),
    [0, 299_999],
  );
});

test('numbers are written as people read them', () => {
  assert.equal(formatNumber(1234.5), '1,234.50');
  assert.equal(formatNumber(0.0004), '4.0e-4');
  assert.equal(formatNumber(null), '–');
  assert.equal(formatChange(0.92, 2), '-54 %');
  assert.deepEqual([1.94, 42, 240, 7800].map(formatSeconds), ['1.9 s', '42 s', '4 min', '2 h 10 min']);
  assert.equal(formatBytes(3_210_000), '3.2 MB');
});

test('a page that is asked for twice is taken once, and the next is due before the end is seen', () => {
  const page = { rows: [{ key: 9 }, { key: 8 }], next: 8 };
  const once = withPage(noPages<{ key: number }>(), page);
  assert.equal(withPage(once, page), once);
  const twice = withPage(once, { rows: [{ key: 7 }], next: null });
  assert.deepEqual(
    rowsOf(twice).map(({ key }) => key),
    [9, 8, 7],
  );
  assert.deepEqual(rowsOf(twice, 1, 3), [{ key: 8 }, { key: 7 }]);
  assert.deepEqual(rowsOf(twice, 2, 9), [{ key: 7 }]);
  assert.equal(wantsMore(noPages(), 0), false);
  assert.equal(wantsMore(once, 1), true);
  assert.equal(wantsMore(twice, 2), false);
});

test('only the rows that are seen are drawn, however long the list', () => {
  assert.deepEqual(visibleRange(0, 280, 28, 100_000, 5), [0, 15]);
  assert.deepEqual(visibleRange(28 * 50_000, 280, 28, 100_000, 5), [49_995, 50_015]);
  assert.deepEqual(visibleRange(1e9, 280, 28, 10), [10, 10]);
});

test('undo and redo walk back and forth; a new edit forgets what was undone', () => {
  let history = historyOf('a');
  history = edited(edited(history, 'b'), 'b');
  assert.equal(history.past.length, 1);
  assert.equal(undone(history).present, 'a');
  assert.equal(redone(undone(history)).present, 'b');
  assert.equal(redone(edited(undone(history), 'c')).present, 'c');
  assert.equal(undone(historyOf('a')).present, 'a');
});

test('the form shows a configuration and gives the same one back', () => {
  const { config } = configOf(draftOf({ method: 'hvg', prices: { python: 0.25 }, seed: 7 }));
  assert.ok(config);
  const again = configOf(draftOf(config as Parameters<typeof draftOf>[0])).config;
  assert.deepEqual(again, config);
  assert.equal(config.seed, 7);
  assert.deepEqual(config.prices, { python: 0.25 });
});

test('what is wrong is said at its field', () => {
  const draft = draftOf({ method: 'static' });
  const { errors } = configOf({
    ...draft,
    tasks: [],
    numbers: { ...draft.numbers, steps: '0', groupSize: 'many', calls: '-1' },
    prices: { python: 'x', search: '-2' },
    weights: { success: '-1', tool: '2' },
  });
  assert.deepEqual(Object.keys(errors ?? {}).sort(), [
    'calls',
    'groupSize',
    'prices.python',
    'prices.search',
    'steps',
    'tasks',
    'weights.success',
  ]);
});

test('a stored draft that is damaged or of another version is left alone', () => {
  assert.equal(storedDraft(null), null);
  assert.equal(storedDraft('{'), null);
  assert.equal(storedDraft('{"name":"x","model":"y"}'), null);
  assert.deepEqual(storedDraft(JSON.stringify(draftOf(null))), draftOf(null));
});

test('a CSV cell never becomes a formula, and quotes and commas survive', () => {
  assert.equal(
    toCsv(
      ['a', 'b'],
      [
        ['=1+1', 'x,"y"'],
        [-1, null],
      ],
    ),
    'a,b\r\n\'=1+1,"x,""y"""\r\n-1,\r\n',
  );
});

test('only settings that differ are listed', () => {
  const difference = configDifference([
    { seed: 0, train: { rate: 1 }, tasks: ['a'] },
    { seed: 1, train: { rate: 1 }, tasks: ['a', 'b'] },
  ]);
  assert.deepEqual(difference, [
    { setting: 'seed', values: ['0', '1'] },
    { setting: 'tasks', values: ['a', 'a, b'] },
  ]);
});

test('a price that nobody set is told as what it is', () => {
  const [first, second] = [{ prices: { python: 3, search: 1 } }, { prices: { 'mcp:units/convert': 2 } }];
  assert.deepEqual(configDifference([first, second]), [
    { setting: 'prices.python', values: ['3', '1'] },
    { setting: 'prices.mcp:units/convert', values: ['–', '2'] },
  ]);
});

test('every table of the window can be saved as CSV', () => {
  for (const file of globSync('src-renderer/**/*.svelte', { cwd: root, exclude: ['**/chart-frame.svelte'] })) {
    const text = readFileSync(join(root, file), 'utf8');
    const savable = text.match(/<DataTable [^>]*>\s*<table/g)?.length ?? 0;
    assert.equal(text.match(/<table/g)?.length ?? 0, savable, file);
  }
});

test('log-probabilities go to the tokens of model segments, in order', () => {
  const spans = spansOf(
    [
      { kind: 'prompt', start: 0, end: 1 },
      { kind: 'model', start: 1, end: 3 },
      { kind: 'tool', start: 3, end: 4 },
      { kind: 'model', start: 4, end: 5 },
    ],
    ['Q', 'a', 'b', 'T', 'c'],
    [-0.1, -0.2, -3],
  );
  assert.deepEqual(
    spans.map(({ text }) => text),
    ['Q', 'ab', 'T', 'c'],
  );
  assert.deepEqual(
    spans.flatMap(({ tokens }) => tokens.map(({ logprob }) => logprob)),
    [null, -0.1, -0.2, null, -3],
  );
  assert.deepEqual([-0.01, -0.3, -1, -3].map(doubt), [0, 1, 2, 3]);
});

test('of many messages the oldest goes, but never one that can still be undone', () => {
  const undoable = { label: 'Undo', run() {} };
  let toasts: Toast[] = [];
  for (let id = 1; id <= 8; id++)
    toasts = withToast(toasts, { id, text: '', hint: '', error: false, action: id === 2 ? undoable : undefined });
  assert.deepEqual(
    toasts.map(({ id }) => id),
    [2, 6, 7, 8],
  );
  for (let id = 9; id <= 14; id++)
    toasts = withToast(toasts, { id, text: '', hint: '', error: false, action: undoable });
  assert.equal(toasts.filter(({ action }) => action).length, 7);
});
