/** What keeps the window quick loses nothing: thinned lines, drawn marks, the queue of frames, a run that is read in parts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PolicyPoint, StepMetrics } from '../../src-main/contract/records.ts';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';
import type { RunEvent, RunFacts } from '../../src-main/contract/run-events.ts';
import type { RunDetail } from '../../src-main/contract/window-records.ts';
import { crosses, dots, nearest } from '../../src-renderer/frontier/marks.ts';
import { viewOfStart, viewOfStored, viewOfSummary, withEvent, withEvents } from '../../src-renderer/runs/run-view.ts';
import { frameQueue } from '../../src-renderer/ui/frame-queue.ts';
import { thin } from '../../src-renderer/ui/thin.ts';

const value = fc.option(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { nil: null });
const line = fc.record({
  rows: fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), value, value), { minLength: 1, maxLength: 400 }),
  columns: fc.integer({ min: 1, max: 40 }),
});

test('a thinned line keeps its ends and, in every pixel column, the least and the greatest value', () => {
  fc.assert(
    fc.property(line, ({ rows, columns }) => {
      let at = 0;
      const steps = rows.map(([gap]) => (at += gap));
      const series = [1, 2].map((k) => rows.map((row) => row[k]));
      const thinned = thin(steps, series, columns);
      assert.equal(thinned.steps[0], steps[0]);
      assert.equal(thinned.steps.at(-1), steps.at(-1));
      assert.ok(thinned.steps.length <= Math.max(2 * columns, 4 * columns + 2));
      const [first] = steps;
      const span = at - first || 1;
      const ranges = (steps: number[], values: (number | null)[]) => {
        const found = new Map<number, [number, number]>();
        for (const [i, value] of values.entries()) {
          if (value === null) continue;
          const column = Math.min(columns - 1, Math.floor(((steps[i] - first) / span) * columns));
          const [low, high] = found.get(column) ?? [value, value];
          found.set(column, [Math.min(low, value), Math.max(high, value)]);
        }
        return found;
      };
      for (const k of [0, 1]) {
        assert.deepEqual(ranges(thinned.steps, thinned.values[k]), ranges(steps, series[k]));
        for (const [i, step] of thinned.steps.entries())
          assert.equal(thinned.values[k][i], series[k][steps.indexOf(step)]);
      }
    }),
  );
});

test('one spike in a million steps stays, and little else does', () => {
  const steps = Array.from({ length: 1_000_000 }, (_, i) => i);
  const values = steps.map((i) => (i === 777_777 ? 9 : Math.sin(i / 1000)));
  const thinned = thin(steps, [values], 300);
  assert.ok(thinned.steps.length <= 602);
  assert.equal(thinned.values[0][thinned.steps.indexOf(777_777)], 9);
});

test('every dot has a mark within a pixel, and many on one pixel have one', () => {
  const place = fc.record({
    x: fc.double({ min: 0, max: 300, noNaN: true }),
    y: fc.double({ min: 0, max: 300, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(place, { maxLength: 60 }), (places) => {
      const marks = [...dots(places, 3).matchAll(/M(-?[\d.]+) (-?[\d.]+)a/g)].map(([, x, y]) => [
        Number(x) + 3,
        Number(y),
      ]);
      assert.ok(marks.length <= places.length);
      for (const { x, y } of places)
        assert.ok(marks.some(([mx, my]) => Math.abs(mx - x) <= 0.5 && Math.abs(my - y) <= 0.5));
      assert.equal(dots([...places, ...places], 3), dots(places, 3));
    }),
  );
});

test('of the intervals through one pixel the longest is drawn', () => {
  const bar = { x: 10.2, y: 20.4, left: 5, right: 12, top: 18, bottom: 22 };
  assert.equal(crosses([bar, { ...bar, left: 8, right: 30, top: 2 }]), 'M5 20H30M10 2V22');
});

test('the pointer finds the nearest point within reach, and none beyond', () => {
  const places = [
    { x: 0, y: 0 },
    { x: 10, y: 0 },
    { x: 10, y: 0 },
  ];
  assert.equal(nearest(places, { x: 6, y: 0 }, 11), 2);
  assert.equal(nearest(places, { x: 4, y: 0 }, 11), 0);
  assert.equal(nearest(places, { x: 30, y: 0 }, 11), null);
});

test('a picture is drawn at most so often, from the last wish; a frame that is full leaves the rest to the next', () => {
  let now = 0;
  const frames: (() => void)[] = [];
  const queue = frameQueue(100, { now: () => now, frame: (then) => void frames.push(then) });
  const drawn: string[] = [];
  const draw =
    (name: string, ms = 0) =>
    () => {
      drawn.push(name);
      now += ms;
    };
  const frame = (at: number) => {
    now = at;
    frames.shift()?.();
    return drawn.splice(0);
  };
  const [a, b, c] = [{}, {}, {}];
  queue.wish(a, draw('a1'));
  queue.wish(a, draw('a2', 9));
  queue.wish(b, draw('b1'));
  queue.wish(c, draw('c1'));
  queue.forget(c);
  assert.equal(frames.length, 1);
  assert.deepEqual(frame(0), ['a2']);
  assert.deepEqual(frame(16), ['b1']);
  assert.equal(frames.length, 0);
  queue.wish(a, draw('a3'));
  assert.deepEqual(frame(32), []);
  queue.wish(a, draw('a4'));
  assert.deepEqual(frame(101), ['a4']);
});

const runId = 'r';
const config = runConfigSchema.parse({ model: 'starter:over-user', tasks: ['arithmetic'], steps: 9 });
const facts = { costLimit: 4, referencePrice: 1 } as RunFacts;
const metrics = { success: 0.5 } as StepMetrics;
const point = (step: number) =>
  ({ step, split: 'selection', sampling: 'sampled', success: 0.5, cost: 1, breakdown: {} }) as PolicyPoint;
const step = (at: number): RunEvent => ({ kind: 'step', runId, step: at, groups: [], metrics });
const measured = (at: number): RunEvent => ({
  kind: 'evaluated',
  runId,
  point: point(at),
  hypervolume: 0.3,
  onFrontier: true,
});
const events: RunEvent[] = [
  measured(0),
  step(1),
  step(2),
  { kind: 'prices', runId, step: 2, prices: { python: 3 } },
  measured(2),
  step(3),
  { kind: 'notice', runId, step: 3, level: 'info', code: 'x', message: '' },
  { kind: 'resumed', runId, fromStep: 2, attempt: 1 },
  step(3),
  measured(3),
  step(4),
];
const start = viewOfStart({ kind: 'started', runId, config, facts });

test('events taken in together and one by one give the same run, however often they are told', () => {
  const oneByOne = events.reduce(withEvent, start);
  assert.deepEqual(withEvents(start, events), oneByOne);
  assert.deepEqual(withEvents(oneByOne, events), oneByOne);
  assert.deepEqual(
    oneByOne.steps.map((row) => row.step),
    [1, 2, 3, 4],
  );
});

test('a run that is read in parts is the same as one that was followed', () => {
  const followed = withEvents(start, events);
  const standing = { key: 1, attempt: 0, supersededBy: null, atMs: 0 };
  const until = 2;
  const row = { ...standing, checkpoint: null };
  const detail = {
    summary: {
      runId,
      status: 'running',
      reason: '',
      step: until,
      points: [0, 2].map((at) => ({ ...point(at), hypervolume: 0.3, checkpoint: false, onFrontier: true })),
    },
    config,
    facts,
    attempts: [{ attempt: 0, fromStep: 0, startedAtMs: 0 }],
    priceChanges: [{ ...standing, step: 2, prices: { python: 3 } }],
    tools: [],
  } as unknown as RunDetail;
  const summary = viewOfSummary(detail);
  assert.deepEqual([summary.complete, summary.points.length, summary.steps.length], [false, 2, 0]);
  const stored = viewOfStored({
    detail,
    evaluations: [0, 2].map((at) => ({ ...row, point: point(at), hypervolume: 0.3, onFrontier: true })),
    steps: [1, 2].map((at) => ({ ...standing, step: at, metrics })),
    notices: [],
  });
  // what was stored while it was read is told once more
  assert.deepEqual(withEvents(stored, events), followed);
});
