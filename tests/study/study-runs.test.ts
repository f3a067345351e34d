import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { checkStudy, configOf, hashOf, studyRuns } from '../../src-main/study/study-runs.ts';
import { plan, small } from './studies.ts';

test('runs come block by block, seed by seed: what is there at any moment is paired', () => {
  const runs = studyRuns(small);
  assert.equal(runs.length, 20);
  assert.deepEqual(
    runs.slice(0, 7).map(({ seed, cell, method }) => `${seed} ${cell} ${method}`),
    ['0 over grpo', '0 over hvg', '0 over static', '0 under grpo', '0 under hvg', '0 under static', '1 over grpo'],
  );
  assert.equal(new Set(runs.map(({ configHash }) => configHash)).size, 20 - 0);
});

test('the same run wanted twice is one run, and under two names it is refused', () => {
  const twice = checkStudy({ ...plan, blocks: [...plan.blocks, { ...plan.blocks[0], name: 'again', seeds: [2, 3] }] });
  assert.equal(studyRuns(twice).length, 26);
  const renamed = {
    ...plan,
    methods: { ...plan.methods, other: { method: 'hvg' } },
    blocks: [...plan.blocks, { name: 'again', cells: ['over'], methods: ['other'], seeds: [0] }],
  };
  assert.throws(() => checkStudy(renamed), /over, hvg, default and over, other, default are the same run/);
});

test('settings lie on top of each other, and weights are kept from a method that reads none', () => {
  const of = (method: string) => configOf(small, { cell: 'under', variant: 'heavy', method, seed: 7 });
  assert.deepEqual([of('static').weights, of('static').seed, of('static').steps], [[0.3, 0.7], 7, 4]);
  assert.deepEqual(of('hvg').weights, [0.6, 0.4]);
  // a method that is given weights of its own, which it does not read, is a mistake as everywhere
  const wrong = { ...plan, methods: { ...plan.methods, hvg: { method: 'hvg', weights: [0.5, 0.5] } } };
  assert.throws(() => checkStudy(wrong), /does not weigh the objectives/);
});

test('a hash is of what a run does, not of how it is written down', () => {
  const config = configOf(small, { cell: 'over', variant: 'default', method: 'hvg', seed: 0 });
  const turned = Object.fromEntries(Object.entries(config).reverse()) as typeof config;
  assert.equal(hashOf(turned), hashOf(config));
  assert.notEqual(hashOf({ ...config, steps: 5 }), hashOf(config));
  assert.notEqual(hashOf({ ...config, train: { ...config.train, weightDecay: 0.5 } }), hashOf(config));
  // a setting that this version does not know, or one more at its default, is no other run
  const { toolDefinitions: _, ...older } = config;
  assert.equal(hashOf(older as typeof config), hashOf(config));
});

test('a name that nothing has, and a setting that no run has, are refused', () => {
  const block = plan.blocks[0];
  const cases: [object, RegExp][] = [
    [{ blocks: [{ ...block, cells: ['nowhere'] }] }, /no cell nowhere/],
    [{ blocks: [{ ...block, methods: ['none'] }] }, /no method none/],
    [{ blocks: [{ ...block, variants: ['none'] }] }, /no variant none/],
    [{ tests: [{ ...plan.tests[0], question: 'z' }] }, /no question z/],
    [{ tests: [{ ...plan.tests[0], b: 'none' }] }, /no method none/],
    [{ tests: [{ ...plan.tests[0], metric: 'luck' }] }, /metric/],
    [{ base: { ...plan.base, stepz: 4 } }, /stepz/],
    [{ methods: { ...plan.methods, start: { method: 'grpo' } } }, /cannot be called start/],
    [{ collapse: { below: 0.8, of: 'none' } }, /no method none/],
    [{ extra: 1 }, /extra/],
  ];
  for (const [change, message] of cases) assert.throws(() => checkStudy({ ...plan, ...change }), message);
});

test('the studies of the repository fit, and the full one plans what docs/study-plan.md says', () => {
  const read = (file: string) =>
    checkStudy(parse(readFileSync(join(import.meta.dirname, '../../studies', file), 'utf8')));
  assert.equal(studyRuns(read('tiny.yaml')).length, 14);
  const full = read('full.yaml');
  assert.equal(
    full.tests.reduce((sum, { cells }) => sum + cells.length, 0),
    48,
  );
  const main = ['paretopo-printed', 'paretopo', 'hvg', 'grpo', 'otc', 'static'];
  for (const cell of ['over-arithmetic', 'under-arithmetic', 'over-multi-hop', 'under-multi-hop']) {
    for (const method of main) {
      const runs = studyRuns(full).filter(
        (run) => run.cell === cell && run.method === method && run.variant === 'default',
      );
      assert.deepEqual(runs.map(({ seed }) => seed).sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
  }
});
