import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { axis, chartPanels } from '../../src-main/study/chart-panels.ts';
import { reportFiles } from '../../src-main/study/report.ts';
import { summarize } from '../../src-main/study/summarize.ts';
import { shardsOf, small } from './studies.ts';

const some = shardsOf(small, ({ method, seed }) =>
  seed < 2 ? { success: method === 'hvg' ? 0.9 : 0.8, cost: 1 + seed / 10 } : null,
);

test('a report names what was not run, every figure that it shows is a file, and every table row has its cells', () => {
  const files = reportFiles(summarize(small, some), 'paretune study small.yaml');
  const report = files.get('report.md')!;
  assert.match(report, /\*\*14 of 20 planned runs\*\*/);
  assert.match(report, /Not yet run: main 6 of 18\./);
  const shown = [...report.matchAll(/\]\(([^)]+\.svg)\)/g)].map((match) => match[1]);
  assert.ok(shown.length >= 4);
  assert.deepEqual(shown.toSorted(), [...files.keys()].filter((name) => name.endsWith('.svg')).toSorted());
  const tables = report.split('\n\n').map((part) => part.split('\n').filter((line) => line.startsWith('|')));
  for (const lines of tables.filter((part) => part.length > 0)) {
    const cells = lines.map((line) => line.split('|').length);
    assert.equal(new Set(cells).size, 1, lines.join('\n'));
  }
  assert.match(report, /paper, MATH500 \| ParetoPO/);
});

test('a report of nothing says so and breaks nowhere', () => {
  const files = reportFiles(summarize(small, new Map()), 'paretune study small.yaml');
  assert.deepEqual([...files.keys()], ['report.md']);
  assert.match(files.get('report.md')!, /\*\*0 of 20 planned runs\*\*/);
});

test('a report is a function of its shards', () => {
  const make = () => reportFiles(summarize(small, new Map([...some].reverse())), 'x');
  assert.deepEqual(make(), reportFiles(summarize(small, some), 'x'));
});

test('axes hold all values between round ticks', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 20 }),
      (values) => {
        const { low, high, ticks } = axis(values);
        const slack = 1e-6 * (high - low);
        for (const value of values)
          assert.ok(low - slack <= value && value <= high + slack, `${value} outside ${low} to ${high}`);
        assert.ok(ticks.length >= 2 && ticks.length <= 12, `${ticks}`);
      },
    ),
  );
});

test('a chart is whole also without points, with one, and with names that look like markup', () => {
  const line = { name: '<b>&"', points: [{ x: 1, y: Number.NaN }], end: { x: 1, y: 0.5, low: 0.4, high: 0.6 } };
  const svg = chartPanels('a < b', [
    { title: 'empty', xLabel: 'x', yLabel: 'y', lines: [] },
    { title: 'one', xLabel: 'x', yLabel: 'y', lines: [line] },
  ]);
  assert.match(svg, /nothing measured/);
  assert.doesNotMatch(svg, /<b>|NaN|undefined/);
  assert.equal(svg.match(/<circle/g)?.length, 1);
});
