/** The fold of a run's events: what is stored and what the feed tells give one record. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyPoint, StepMetrics } from '../../src-main/contract/records.ts';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';
import type { RunEvent, RunFacts } from '../../src-main/contract/run-events.ts';
import { bannersOf } from '../../src-renderer/frontier/banners.ts';
import { multiplesOf } from '../../src-renderer/frontier/small-multiples.ts';
import {
  frontierPoints,
  pace,
  type RunView,
  stageBoundary,
  viewOfStart,
  withEvent,
} from '../../src-renderer/runs/run-view.ts';

const runId = 'r';
const config = runConfigSchema.parse({
  method: 'paretopo',
  model: 'starter:over-user',
  tasks: ['arithmetic'],
  steps: 9,
  prices: { python: 2 },
});
const facts = { costLimit: 4, referencePrice: 1 } as RunFacts;
const metrics = (part: Partial<StepMetrics> = {}) =>
  ({
    success: 0.5,
    cost: 1,
    responseLength: 12,
    entropy: 0.1,
    kl: null,
    sampledTokens: 1000,
    stepMs: 500,
    groupsMixed: 0.5,
    groupsAllRight: 0.25,
    groupsAllWrong: 0.25,
    groupsWithoutSpread: 0.5,
    toolFailureShare: 0,
    ...part,
  }) as StepMetrics;
const step = (at: number, part?: Partial<StepMetrics>): RunEvent => ({
  kind: 'step',
  runId,
  step: at,
  groups: [],
  metrics: metrics(part),
});
const evaluated = (at: number, success: number, cost: number, split: PolicyPoint['split'] = 'selection'): RunEvent => ({
  kind: 'evaluated',
  runId,
  point: { step: at, split, sampling: 'sampled', n: 64, success, cost, klToStart: null } as PolicyPoint,
  hypervolume: 0.3,
  onFrontier: true,
});
const fold = (events: RunEvent[]): RunView =>
  events.reduce(withEvent, viewOfStart({ kind: 'started', runId, config, facts }));

test('events of another run change nothing', () => {
  const view = fold([step(1)]);
  assert.equal(withEvent(view, { ...step(2), runId: 'other' }), view);
});

test('an event that is known already is taken once, so that a read and the feed may overlap', () => {
  const view = fold([evaluated(0, 0.7, 2), step(1), step(2)]);
  assert.equal(withEvent(view, step(2)), view);
  assert.equal(withEvent(view, evaluated(0, 0.7, 2)), view);
  assert.equal(withEvent(view, { kind: 'started', runId, config, facts }).steps.length, 2);
});

test('a resumed run forgets what came after the checkpoint, prices included', () => {
  const view = fold([
    evaluated(0, 0.7, 2),
    step(1),
    step(2),
    { kind: 'prices', runId, step: 2, prices: { python: 5 } },
    step(3),
    evaluated(3, 0.8, 1),
    { kind: 'resumed', runId, fromStep: 1, attempt: 2 },
  ]);
  assert.deepEqual(
    view.steps.map((row) => row.step),
    [1],
  );
  assert.equal(view.points.length, 1);
  assert.equal(view.step, 1);
  assert.deepEqual(view.prices, { python: 2 });
  assert.equal(view.attempts, 2);
});

test('a checkpoint marks its point and takes the mark of those that were dropped', () => {
  const checkpoint = (at: number, dropped: number[]): RunEvent => ({
    kind: 'checkpoint',
    runId,
    checkpoint: { step: at, folder: '', manifestHash: '', weightsHash: '', bytes: 1 },
    dropped,
  });
  const view = fold([evaluated(0, 0.7, 2), checkpoint(0, []), evaluated(5, 0.8, 1), checkpoint(5, [0])]);
  assert.deepEqual(
    view.points.map((point) => point.checkpoint),
    [false, true],
  );
});

test('the frontier is made of the selection split only, up to the step shown', () => {
  const view = fold([evaluated(0, 0.7, 2), evaluated(0, 0.6, 2, 'report'), evaluated(5, 0.8, 1)]);
  assert.equal(frontierPoints(view).length, 2);
  assert.equal(frontierPoints(view, 4).length, 1);
});

test('stage 2 begins after its share of the steps, and only where a method has stages', () => {
  const view = fold([]);
  assert.equal(stageBoundary(view), 3);
  assert.equal(stageBoundary({ ...view, config: { ...config, method: 'grpo' } }), null);
  assert.equal(
    stageBoundary({ ...view, config: { ...config, paretopo: { ...config.paretopo, stage1Fraction: 0 } } }),
    null,
  );
});

test('the pace is that of the last ten steps', () => {
  const view = fold([step(1, { stepMs: 90_000 }), ...Array.from({ length: 8 }, (_, i) => step(i + 2))]);
  assert.equal(pace(fold([])), null);
  assert.equal(pace({ ...view, steps: view.steps.slice(1), step: 5 })?.secondsLeft, 2);
});

test('the small charts leave a gap where a step has no number', () => {
  const { steps, charts } = multiplesOf(fold([evaluated(0, 0.7, 2), step(1), step(2, { entropy: Number.NaN })]));
  assert.deepEqual(steps, [0, 1, 2]);
  const named = Object.fromEntries(charts.map(({ name, series }) => [name, series.map(({ values }) => values)]));
  assert.deepEqual(named.success, [
    [null, 0.5, 0.5],
    [0.7, null, null],
  ]);
  assert.deepEqual(named.entropy, [[null, 0.1, null]]);
  assert.deepEqual(named.speed[0], [null, 2000, 2000]);
});

test('banners say what to act on, and nothing about a healthy run', () => {
  const ids = (events: RunEvent[]) => bannersOf(fold(events)).map(({ id }) => id);
  assert.deepEqual(ids([step(1)]), []);
  assert.deepEqual(ids([step(1, { success: 0 })]), ['no-success']);
  assert.deepEqual(ids([step(1, { toolFailureShare: 0.61 })]), ['tool-fails']);
  assert.deepEqual(ids([step(1, { groupsWithoutSpread: 0.8 })]), ['no-spread']);
  assert.deepEqual(ids([step(1), { kind: 'ended', runId, step: 1, status: 'failed', reason: 'x' }]), ['failed']);
});
