import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ChartPoint, costRange, type FrontierChart, staircase, ticks } from '../../src-main/cli/frontier-chart.ts';
import { frontierPlot, frontierSummary } from '../../src-main/cli/frontier-plot.ts';
import { frontierSvg } from '../../src-main/cli/frontier-svg.ts';

function point(step: number, success: number, cost: number, onFrontier: boolean): ChartPoint {
  const [successLow, successHigh] = [Math.max(0, success - 0.03), Math.min(1, success + 0.03)];
  return { step, success, successLow, successHigh, cost, costLow: cost * 0.9, costHigh: cost * 1.1, onFrontier };
}

const chart: FrontierChart = {
  title: 'r1 <&>',
  points: [point(0, 0.8, 2, false), point(10, 0.9, 1.6, true), point(20, 0.7, 1, true), point(30, 0.5, 1.5, false)],
  costLimit: 4,
  hypervolume: 0.7,
};

test('the frontier is a line of steps from the cheapest point to the cost limit', () => {
  assert.deepEqual(staircase(chart), [
    { cost: 1, success: 0 },
    { cost: 1, success: 0.7 },
    { cost: 1.6, success: 0.7 },
    { cost: 1.6, success: 0.9 },
    { cost: 4, success: 0.9 },
  ]);
  assert.deepEqual(staircase({ ...chart, points: [] }), []);
  assert.deepEqual(staircase({ ...chart, costLimit: 0.5 }), []);
});

test('the area under the steps is the hypervolume of the points on the frontier', () => {
  const line = staircase(chart);
  const area = line.slice(1).reduce((sum, { cost, success }, i) => sum + (cost - line[i].cost) * success, 0);
  // axes success and 1 - cost / limit: each point spans success x (limit - cost) / limit, overlaps counted once
  const expected = (0.7 * (1.6 - 1) + 0.9 * (4 - 1.6)) / 4;
  assert.ok(Math.abs(area / chart.costLimit - expected) < 1e-12, `${area / chart.costLimit} is not ${expected}`);
});

test('ticks are round, start at 0, stay within the range and are few', () => {
  assert.deepEqual(ticks(4, 5), [0, 1, 2, 3, 4]);
  assert.deepEqual(ticks(0.7, 5), [0, 0.2, 0.4, 0.6]);
  assert.deepEqual(ticks(0, 5), [0]);
  fc.assert(
    fc.property(fc.double({ min: 1e-9, max: 1e9, noNaN: true }), fc.integer({ min: 2, max: 12 }), (high, most) => {
      const values = ticks(high, most);
      assert.ok(values.length >= 1 && values.length <= most, `${values.length} ticks of at most ${most}`);
      assert.ok(values[0] === 0 && values[values.length - 1] <= high * (1 + 1e-9));
    }),
  );
});

test('the SVG shows the reference point, the terminal zooms to the points', () => {
  assert.equal(costRange(chart, true), 4);
  assert.ok(costRange(chart, false) < 2.5);
  assert.equal(costRange({ ...chart, points: [] }, false), 4);
});

test('the plot marks the start, the frontier and the rest where they are', () => {
  const lines = frontierPlot(chart, { columns: 60, rows: 11 }).split('\n');
  assert.equal(lines[0], 'r1 <&>');
  // success 90 % is the second of 11 rows, 80 % the third, 50 % the sixth
  assert.match(lines[2], /o/);
  assert.match(lines[3], /x/);
  assert.match(lines[6], /\./);
  assert.ok(lines[2].indexOf('o') < lines[3].indexOf('x'), 'the cheaper point is left of the start');
  assert.match(lines[1], /^100 % \+/);
  assert.match(lines.at(-1) ?? '', /hypervolume 0\.700/);
});

test('any points make a plot within its width and an SVG with finite numbers', () => {
  const number = (max: number) => fc.double({ min: 0, max, noNaN: true });
  const points = fc.array(fc.tuple(number(1), number(1e6), fc.boolean()), { maxLength: 12 });
  fc.assert(
    fc.property(points, number(1e6), (rows, costLimit) => {
      const any = { ...chart, costLimit, points: rows.map(([s, c, front], i) => point(i, s, c, front)) };
      const plot = frontierPlot(any, { columns: 50, rows: 12 }).split('\n').slice(1, -1);
      assert.ok(
        plot.every((line) => line.length <= 50),
        'too wide',
      );
      assert.doesNotMatch(frontierSvg(any), /NaN|Infinity|undefined/);
    }),
  );
});

test('the SVG stands alone: text is escaped, nothing is loaded, both colour schemes are there', () => {
  const svg = frontierSvg(chart);
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  assert.match(svg, /r1 &#60;&#38;&#62;/);
  assert.match(svg, /prefers-color-scheme: dark/);
  assert.doesNotMatch(svg, /<script|href=|url\(|@import/);
  assert.equal(svg.match(/<circle class="frontier"/g)?.length, 2);
  assert.equal(svg.match(/<circle class="dominated"/g)?.length, 1);
  assert.equal(svg.match(/<path class="start"/g)?.length, 1);
  assert.equal(svg.match(/<path class="reference"/g)?.length, 1);
  assert.equal(svg.match(/<path class="interval"/g)?.length, 4);
});

test('the picture is also said in a sentence', () => {
  assert.equal(
    frontierSummary(chart),
    'The frontier has 2 points, from 70.0 % success at cost 1.00 (step 20) to 90.0 % success at cost 1.60 (step 10).',
  );
  assert.match(frontierSummary({ ...chart, points: [point(3, 0.4, 1, true)] }), /One point dominates/);
  assert.match(frontierSummary({ ...chart, points: [] }), /No policy/);
});
