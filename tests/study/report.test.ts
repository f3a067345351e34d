import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { axis, chartPanels } from '../../src-main/study/chart-panels.ts';
import { reportFiles } from '../../src-main/study/report.ts';
import { summarize } from '../../src-main/study/summarize.ts';
import { checkStudy } from '../../src-main/study/study-runs.ts';
import { plan, shardsOf, small } from './studies.ts';

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

test('a report lists every missing run, and answers no question before all its runs are there', () => {
  const report = reportFiles(summarize(small, some), 'x').get('report.md')!;
  assert.match(report, /Not answered yet: 2 of 2 tests lack runs\./);
  assert.match(report, /\| cheaper \| over \| 2 of 3 \| cost \S+ .* \| - \| - \| not yet \|/);
  const list = report.slice(report.indexOf('## Not yet run'));
  assert.match(list, /\| over \| hvg \| 2 \|/);
  assert.equal(list.split('\n').filter((line) => line.startsWith('| over') || line.startsWith('| under')).length, 6);
  const whole = shardsOf(small, ({ method, seed }) => ({ success: 0.8, cost: (method === 'hvg' ? 1 : 2) + seed / 10 }));
  const complete = reportFiles(summarize(small, whole), 'x').get('report.md')!;
  assert.match(complete, /2 shown, 0 against, 0 open\./);
  assert.doesNotMatch(complete, /not yet|Not yet|nswered/i);
});

test('what people read out of the numbers stands before the questions, and not where there is nothing', () => {
  const summary = summarize({ ...small, notes: ['hvg is *cheaper*.', 'See [more](more.md).'] }, some);
  const report = reportFiles(summary, 'x').get('report.md')!;
  assert.ok(report.includes('## In words\n\nhvg is *cheaper*.\n\nSee [more](more.md).\n\n## The questions'));
  assert.doesNotMatch(reportFiles(summarize(small, some), 'x').get('report.md')!, /In words/);
});

test('a report under another name has its figures in a folder of that name', () => {
  const files = reportFiles(summarize(small, some), 'x', 'results.md');
  assert.match(files.get('results.md')!, /\]\(results\/over-frontier\.svg\)/);
  assert.ok(files.has('results/over-frontier.svg'));
});

test('more methods than colours are drawn apart: those that the questions are about, and the others', () => {
  const methods = Object.fromEntries(
    Array.from({ length: 8 }, (_, i) => [`static-${i}`, { method: 'static', weights: [0.9 - i / 10, 0.1 + i / 10] }]),
  );
  const study = checkStudy({
    ...plan,
    methods: { ...plan.methods, ...methods },
    blocks: [...plan.blocks, { name: 'more', cells: ['over'], methods: Object.keys(methods), seeds: [0] }],
  });
  const files = reportFiles(
    summarize(
      study,
      shardsOf(study, () => ({ success: 0.8, cost: 1 })),
    ),
    'x',
  );
  const lines = (name: string) => new Set(files.get(name)!.match(/>(static-\d|static|grpo|hvg)</g));
  assert.deepEqual([...lines('over-frontier.svg')].sort(), ['>grpo<', '>hvg<']);
  assert.equal(lines('over-others-frontier.svg').size, 9);
  assert.match(files.get('report.md')!, /\]\(over-others-dynamics\.svg\)/);
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

test('an axis of shares ends at 1, and has two ticks at least', () => {
  assert.deepEqual(axis([0.63, 0.97], 1).high, 1);
  assert.deepEqual(axis([1, 1], 1).high, 1);
  assert.ok(axis([1, 1], 1).low < 1);
  assert.ok(axis([0, 0], 1).high > 0);
  assert.ok(axis([0.5, 1.2], 1).high >= 1.2, 'what is above all the same is shown');
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 9 }), (values) => {
      const { low, high, ticks } = axis(values, 1);
      assert.ok(low <= Math.min(...values) + 1e-6 && high >= Math.max(...values) - 1e-6 && high <= 1 && low < high);
      assert.deepEqual(
        ticks,
        ticks.toSorted((a, b) => a - b),
      );
    }),
  );
});

test('a chart is whole also without points, with one, and with names that look like markup', () => {
  const line = {
    name: '<b>&"',
    points: [{ x: 1, y: Number.NaN }],
    end: { x: 1, y: 0.5, xInterval: { low: 0.5, high: 2 }, yInterval: { low: 0.4, high: 0.6 } },
  };
  const svg = chartPanels('a < b', [
    { title: 'empty', xLabel: 'x', yLabel: 'y', lines: [] },
    { title: 'one', xLabel: 'x', yLabel: 'y', lines: [line] },
  ]);
  assert.match(svg, /nothing measured/);
  assert.doesNotMatch(svg, /<b>|NaN|undefined/);
  assert.equal(svg.match(/<circle/g)?.length, 1);
});
