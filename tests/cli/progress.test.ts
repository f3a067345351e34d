import assert from 'node:assert/strict';
import { test } from 'node:test';
import { followRun, progressLine, type RunView, runLine, showProgress } from '../../src-main/cli/progress.ts';
import type { PolicyPoint, StepMetrics } from '../../src-main/contract/records.ts';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';
import type { RunEvent } from '../../src-main/contract/run-events.ts';

const config = runConfigSchema.parse({ model: 'starter:over-user', tasks: ['/data/svamp.jsonl'], steps: 10 });
const started = { kind: 'started', runId: 'r', config, facts: {} } as unknown as RunEvent;
const step = (number: number) =>
  ({
    kind: 'step',
    runId: 'r',
    step: number,
    groups: [],
    metrics: { success: 0.8125, cost: 0.924, calls: 1, sampledTokens: 4210, stepMs: 1000 } as StepMetrics,
  }) satisfies RunEvent;
const evaluated = (split: PolicyPoint['split'], sampling: PolicyPoint['sampling'], hypervolume: number) =>
  ({
    kind: 'evaluated',
    runId: 'r',
    point: { split, sampling } as PolicyPoint,
    hypervolume,
    onFrontier: false,
  }) satisfies RunEvent;

/** The view after events that are a second apart. */
function follow(...events: RunEvent[]): RunView | undefined {
  return events.reduce<RunView | undefined>((view, event, second) => followRun(view, event, second * 1000), undefined);
}

test('a run is one line: task and method, step, success, cost, hypervolume, speed and time left', () => {
  const view = follow(started, evaluated('selection', 'sampled', 0.731), step(1), step(2));
  assert.ok(view);
  assert.equal(
    runLine(view),
    'svamp.jsonl hvg  step 2/10  success 81.3 %  cost 0.92  hypervolume 0.731  4,210 tokens/s  12 s left',
  );
});

test('the hypervolume shown is the frontier’s, whatever else is measured', () => {
  const view = follow(
    started,
    evaluated('selection', 'sampled', 0.5),
    evaluated('selection', 'greedy', 0.1),
    evaluated('report', 'sampled', 0.2),
  );
  assert.equal(view?.hypervolume, 0.5);
});

test('a run that goes on counts its pace from where it went on', () => {
  const view = follow(started, { kind: 'resumed', runId: 'r', fromStep: 5, attempt: 1 }, step(6));
  assert.ok(view);
  assert.match(runLine(view), /step 6\/10 .* 8 s left$/);
});

test('events before the start, and those without numbers, change nothing', () => {
  assert.equal(follow(step(1)), undefined);
  const view = follow(started);
  assert.equal(followRun(view, { kind: 'prices', runId: 'r', step: 1, prices: {} }, 5), view);
});

test('other progress says how far of how much, or how much where the end is not known', () => {
  assert.equal(progressLine({ label: 'copying', done: 1, total: 3, note: 'x' }), 'copying  1/3 (33 %)  x');
  assert.equal(progressLine({ label: 'indexing', done: 12_000, total: 0 }), 'indexing  12,000');
  assert.equal(progressLine({ label: 'opening', done: 0, total: 0 }), 'opening');
});

function screen(isTerminal: boolean) {
  const written: string[] = [];
  const clock = { ms: 0 };
  const progress = showProgress({
    write: (text) => written.push(text),
    isTerminal,
    columns: () => 20,
    nowMs: () => clock.ms,
  });
  return { written, clock, progress };
}

test('a terminal keeps one line in place, cut to its width, and is left clean', () => {
  const { written, progress } = screen(true);
  progress.line('a'.repeat(50));
  progress.note('a note');
  progress.end();
  assert.deepEqual(written, [
    `\r${'a'.repeat(19)}\x1b[K`,
    '\r\x1b[K',
    'a note\n',
    `\r${'a'.repeat(19)}\x1b[K`,
    '\r\x1b[K',
  ]);
});

test('without a terminal there are plain lines, at most one a second, and always the last', () => {
  const { written, clock, progress } = screen(false);
  for (let i = 0; i <= 25; i++) {
    clock.ms = i * 100;
    progress.line(`step ${i}`);
  }
  progress.end();
  assert.deepEqual(written, ['step 0\n', 'step 10\n', 'step 20\n', 'step 25\n']);
});
