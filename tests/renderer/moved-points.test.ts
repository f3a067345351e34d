/** Measured policies at other prices, and the picture of a small chart as a file. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';
import { callsByTool, costLimitAt, movedPoints } from '../../src-renderer/frontier/moved-points.ts';
import type { ViewPoint } from '../../src-renderer/runs/run-view.ts';
import { lineSvg } from '../../src-renderer/ui/line-svg.ts';

const at = (step: number, breakdown: ViewPoint['breakdown']) =>
  ({ step, success: 0.5, cost: 1.5, costLow: 1, costHigh: 2, breakdown }) as ViewPoint;
const measured = at(4, {
  'task:arithmetic': { n: 30, success: 0.5, cost: 1, calls: { python: 1 } },
  'task:multi-hop': { n: 10, success: 0.5, cost: 3, calls: { search: 2, python: 1 } },
  'tag:hard': { n: 5, success: 0, cost: 4 },
});

test('calls by tool are means over all problems, each task by its size', () => {
  assert.deepEqual(callsByTool(measured), { python: 1, search: 0.5 });
});

test('at the old prices a point stays, at others it moves by its calls, and says no interval', () => {
  assert.equal(movedPoints([measured], {})?.[0].cost, 1.5);
  const [moved] = movedPoints([measured], { python: 3, search: 0 }) ?? [];
  assert.deepEqual([moved.cost, moved.costLow, moved.costHigh, moved.success], [3, 3, 3, 0.5]);
});

test('one point without kept calls, and none is moved', () => {
  assert.equal(movedPoints([measured, at(0, { 'task:a': { n: 1, success: 1, cost: 1 } })], {}), null);
  assert.equal(movedPoints([at(0, {})], {}), null);
});

test('the cost limit follows the dearest tool, unless the run fixes it', () => {
  const config = runConfigSchema.parse({ model: 'starter:over-user', tasks: ['arithmetic'], limits: { calls: 4 } });
  assert.equal(costLimitAt(config, { python: 3 }, ['python', 'search']), 12);
  assert.equal(costLimitAt(config, {}, []), 1);
  assert.equal(costLimitAt({ ...config, costLimit: 7 }, { python: 3 }, ['python']), 7);
});

test('the file of a small chart holds its lines, marks and stage, and no markup of a title', () => {
  const svg = lineSvg({
    title: 'a < b',
    steps: [0, 1, 2, 3],
    series: [
      { label: 'step', color: '#111', values: [null, 1, 2, 3] },
      { label: 'measured', color: '#222', values: [1, null, 2, null], points: true },
    ],
    boundary: 2,
    percent: false,
    ink: '#000',
    paper: '#fff',
  });
  assert.match(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  assert.match(svg, /a &lt; b/);
  assert.equal(svg.match(/<circle/g)?.length, 2);
  assert.equal(svg.match(/stroke-dasharray/g)?.length, 1);
  assert.doesNotMatch(svg, /NaN|undefined|null/);
});

test('a chart without a value is still a picture', () => {
  const svg = lineSvg({ title: '', steps: [], series: [], boundary: null, percent: true, ink: '#000', paper: '#fff' });
  assert.doesNotMatch(svg, /NaN|undefined/);
});
