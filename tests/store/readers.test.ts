import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { openStore, runFolder } from '../../src-main/store/open-store.ts';
import { openReader } from '../../src-main/store/reader.ts';
import type { TrajectoryRow } from '../../src-main/contract/window-records.ts';
import type { TrajectoryFilter } from '../../src-main/store/page-trajectories.ts';
import { checkpointEvent, evaluated, started, stepEvent } from './samples.ts';

const root = mkdtempSync(join(tmpdir(), 'paretune-readers-'));
const folder = join(root, 'data');
const store = openStore(folder, { mode: 'write' });
after(() => {
  store.close();
  rmSync(root, { recursive: true });
});

store.append(started('run-abc'));
for (let step = 1; step <= 4; step++) store.append(stepEvent('run-abc', step, 4, 5));
store.append(started('run-abd'));
{
  const odd = stepEvent('run-abd', 1, 1, 3);
  const [first, second, third] = odd.groups[0].trajectories;
  Object.assign(first, { success: null, stopReason: 'time-limit', toolCalls: [], answer: 'Größe naïve 漢字' });
  Object.assign(second, { success: true, toolCalls: [], answer: 'plain' });
  const call = { name: 'search', arguments: { query: 'capital of Mordavia' }, output: 'Its capital is Zelgrad.' };
  third.toolCalls = [{ ...call, status: 'error', price: 2.5, milliseconds: 4, resultStart: -1 }];
  third.answer = 'Zelgrad';
  store.append(odd);
}

const withCode = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ParetuneError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

test('a run is named by its name, by a beginning that only it has, or by `last`', () => {
  assert.equal(store.getRun('run-abc').runId, 'run-abc');
  assert.equal(store.getRun('run-abd').runId, 'run-abd');
  assert.equal(store.getRun('last').runId, 'run-abd');
  assert.throws(() => store.getRun('run-ab'), withCode('usage', /run-abc, run-abd/));
  assert.throws(() => store.getRun('nobody'), withCode('not-found', /"nobody"/));
  assert.throws(() => store.getRun(''), withCode('not-found', /""/));
  assert.throws(() => store.getRun('run%'), withCode('not-found', /run%/));
  store.append(started('run-ab'));
  assert.equal(store.getRun('run-ab').runId, 'run-ab', 'a whole name wins over longer ones');
  store.deleteRun('run-ab');
  assert.equal(runFolder('data', 'r'), join('data', 'runs', 'r'));
});

test('the list of runs tells each at a glance', () => {
  const [, abc] = store.listRuns();
  assert.deepEqual(
    { ...abc, startedAtMs: 0, changedAtMs: 0 },
    {
      runId: 'run-abc',
      status: 'running',
      reason: '',
      startedAtMs: 0,
      changedAtMs: 0,
      step: 4,
      plannedSteps: 60,
      method: 'hvg',
      model: 'starter:over-user',
      tasks: ['arithmetic'],
    },
  );
  assert.deepEqual(store.getRun('run-abc').config, started('x').config);
  assert.deepEqual(store.getRun('run-abc').facts, started('x').facts);
});

/** All pages of a filter joined, each of `limit` rows. */
function all(
  run: string,
  filter: TrajectoryFilter,
  limit: number,
  order: 'newest' | 'oldest' = 'newest',
): TrajectoryRow[] {
  const rows: TrajectoryRow[] = [];
  for (let after: number | undefined; ; ) {
    const page = store.trajectories(run, filter, { limit, order, after });
    rows.push(...page.rows);
    if (page.next === null) return rows;
    assert.equal(page.rows.length, limit);
    after = page.next;
  }
}

test('pages of any size and order hold exactly the rows that a filter admits, each once', () => {
  const whole = all('run-abc', {}, 1000, 'oldest');
  assert.equal(whole.length, 80);
  const filters = fc.record(
    {
      step: fc.integer({ min: 1, max: 5 }),
      success: fc.constantFrom(true, false, null),
      minCalls: fc.integer({ min: 0, max: 3 }),
      maxCalls: fc.integer({ min: 0, max: 3 }),
      problemId: fc.constantFrom(...new Set(whole.map((row) => row.problemId))),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(filters, fc.integer({ min: 1, max: 30 }), fc.boolean(), (filter, limit, oldest) => {
      const expected = whole.filter(
        (row) =>
          (filter.step === undefined || row.step === filter.step) &&
          (filter.success === undefined || row.success === filter.success) &&
          row.calls >= (filter.minCalls ?? 0) &&
          row.calls <= (filter.maxCalls ?? 9) &&
          (filter.problemId === undefined || row.problemId === filter.problemId),
      );
      assert.deepEqual(
        all('run-abc', filter, limit, oldest ? 'oldest' : 'newest'),
        oldest ? expected : expected.reverse(),
      );
    }),
    { numRuns: 100 },
  );
});

test('trajectories are found by words of the answer, the tool arguments and the tool output, by tool and by stop reason', () => {
  const samples = (filter: TrajectoryFilter) => store.trajectories('run-abd', filter).rows.map(({ sample }) => sample);
  assert.deepEqual(samples({ search: 'zelgr' }), [2]);
  assert.deepEqual(samples({ search: 'mordavia ZELGRAD' }), [2], 'all words, in any place');
  assert.deepEqual(samples({ search: 'mordavia plain' }), []);
  assert.deepEqual(samples({ search: 'grosse' }), [], 'ß is a letter of its own');
  assert.deepEqual(samples({ search: 'größe' }), [0]);
  assert.deepEqual(samples({ search: 'größe'.normalize('NFD') }), [0], 'however it was typed');
  assert.deepEqual(samples({ search: 'naive' }), [0], 'accents do not matter');
  assert.deepEqual(samples({ search: '漢字' }), [0]);
  assert.deepEqual(samples({ search: 'What is' }), [2, 1, 0], 'the prompt');
  assert.deepEqual(samples({ search: '  ' }), [2, 1, 0], 'an empty search does not restrict');
  assert.deepEqual(samples({ search: '?!' }), []);
  assert.deepEqual(samples({ tool: 'search' }), [2]);
  assert.deepEqual(samples({ tool: 'calculator' }), []);
  assert.deepEqual(samples({ stopReason: 'time-limit' }), [0]);
  assert.deepEqual(samples({ success: null }), [0]);
  assert.deepEqual(samples({ fromStep: 1, toStep: 1 }), [2, 1, 0]);
  assert.deepEqual(samples({ fromStep: 2 }), []);
  assert.deepEqual(samples({ step: 1 }), [2, 1, 0]);
  assert.deepEqual(samples({ step: 1, fromStep: 2 }), []);
  assert.deepEqual(samples({ step: 2 }), []);
  // letters to JavaScript, but not to the older Unicode of the index: it would refuse the word as a phrase
  assert.deepEqual(samples({ search: '\u3400\u1cf2\u0966' }), []);
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (typed) => void samples({ search: typed })),
    { numRuns: 300 },
  );
});

test('statistics add up trajectories and tool calls, by tool and by how calls ended', () => {
  const { tools, stopReasons, ...numbers } = store.statistics('run-abd');
  assert.deepEqual(stopReasons, { answer: 2, 'time-limit': 1 });
  assert.deepEqual(tools, [{ name: 'search', calls: 1, price: 2.5, meanMs: 4, statuses: { error: 1 } }]);
  assert.deepEqual(store.calledTools('run-abd'), ['search']);
  assert.deepEqual(
    [numbers.problems, numbers.trajectories, numbers.ungraded, numbers.supersededTrajectories],
    [1, 3, 1, 0],
  );
  const abc = store.statistics('run-abc');
  const calls = [1, 2, 3, 4].flatMap((step) => store.readStep('run-abc', step)).flatMap((group) => group.trajectories);
  assert.equal(
    abc.tools[0].calls,
    calls.reduce((sum, one) => sum + one.toolCalls.length, 0),
  );
  assert.equal(
    abc.cost,
    calls.reduce((sum, one) => sum + one.cost, 0),
  );
  assert.equal(abc.successes, calls.filter((one) => one.success).length);
});

test('the frontier holds what no other point of the same split and sampling dominates, as brute force finds it', () => {
  let next = 0;
  const grid = fc.integer({ min: 0, max: 6 });
  fc.assert(
    fc.property(fc.array(fc.tuple(grid, grid), { maxLength: 12 }), (points) => {
      const run = `frontier-${next++}`;
      store.append(started(run));
      points.forEach(([success, cost], step) => {
        store.append(evaluated(run, step, success / 6, cost));
        // other splits and samplings do not compete
        store.append(evaluated(run, step, 1, 0, { split: 'report' }));
        store.append(evaluated(run, step, 1, 0, { sampling: 'greedy' }));
      });
      const dominated = ([s, c]: number[], i: number) =>
        points.some(([t, d], j) => t >= s && d <= c && (t > s || d < c || j < i));
      const expected = points.map((_, i) => i).filter((i) => !dominated(points[i], i));
      const found = store.frontier(run, 'selection');
      assert.deepEqual(
        found.map(({ point }) => point.step).sort((a, b) => a - b),
        expected,
      );
      assert.deepEqual(
        found.map(({ point }) => point.cost),
        found.map(({ point }) => point.cost).sort((a, b) => a - b),
      );
      assert.equal(store.frontier(run, 'report').length, points.length === 0 ? 0 : 1);
      store.deleteRun(run);
    }),
    { numRuns: 40 },
  );
});

test('a frontier point names the checkpoint of its weights, and points of superseded attempts leave the frontier', () => {
  store.append(started('f'));
  store.append(evaluated('f', 0, 0.5, 2));
  store.append(evaluated('f', 10, 0.6, 2));
  store.append(checkpointEvent('f', 10));
  store.append(evaluated('f', 20, 0.9, 1));
  store.append(checkpointEvent('f', 20));
  const view = () =>
    store.frontier('f', 'selection').map(({ point, checkpoint }) => [point.step, checkpoint?.folder ?? null]);
  assert.deepEqual(view(), [[20, 'checkpoints/step-20']]);
  store.resumeRun('f', 10);
  assert.deepEqual(view(), [[10, 'checkpoints/step-10']]);
  store.append(checkpointEvent('f', 15, [10]));
  assert.deepEqual(view(), [[10, null]], 'a dropped checkpoint is not offered');
  const three = store.evaluations('f', { superseded: true });
  assert.equal(three.length, 3);
  assert.deepEqual(store.evaluations('f', { superseded: true, limit: 2 }), three.slice(0, 2));
  assert.deepEqual(store.evaluations('f', { superseded: true, after: three[1].key }), three.slice(2));
  store.deleteRun('f');
});

test('64 trajectories a step are written in well under 2 % of a second', () => {
  store.append(started('speed'));
  const times = Array.from({ length: 15 }, (_, i) => {
    const event = stepEvent('speed', i + 1, 8, 8);
    const start = performance.now();
    store.append(event);
    return performance.now() - start;
  });
  assert.ok(Math.min(...times) < 20, `${Math.min(...times)} ms`);
  store.deleteRun('speed');
});

test('the reader worker answers as the store does, while the store writes, and errors cross whole', async () => {
  const reader = await openReader(folder);
  assert.deepStrictEqual(await reader.readStep('run-abc', 2), store.readStep('run-abc', 2));
  assert.deepEqual(
    await reader.trajectories('run-abc', { success: true }, { limit: 3 }),
    store.trajectories('run-abc', { success: true }, { limit: 3 }),
  );
  const answers = [reader.listRuns(), reader.steps('run-abc'), reader.getRun('last')] as const;
  store.append(started('later'));
  store.append(evaluated('later', 0, 0.5, 1, { costLow: Number.NaN }));
  const [runs, steps] = await Promise.all(answers);
  assert.ok(runs.length >= 2 && steps.length === 4);
  assert.deepStrictEqual(await reader.evaluations('later'), store.evaluations('later'));
  await assert.rejects(reader.getRun('nobody'), withCode('not-found', /"nobody"/));
  const cut = reader.statistics('run-abc').then(
    () => 'answered',
    () => 'ended',
  );
  await reader.close();
  assert.match(await cut, /answered|ended/);
  await assert.rejects(reader.listRuns(), withCode('engine', /has ended/));
  store.deleteRun('later');
});

test('a reader of a folder without a database rejects as the store throws', async () => {
  await assert.rejects(openReader(join(root, 'nowhere')), withCode('not-found', /no database/));
});

test('outcomes and totals are those of the steps read whole', () => {
  for (const run of ['run-abc', 'run-abd']) {
    const numbers = store.stepNumbers(run);
    const whole = numbers
      .flatMap((step) => store.readStep(run, step))
      .flatMap((group) => group.trajectories)
      .map(({ success, cost, sampledLogprobs, toolCalls }) => ({
        success,
        cost,
        sampledTokens: sampledLogprobs.length,
        calls: toolCalls.map(({ name, status }) => ({ name, status })),
      }));
    assert.deepEqual(store.outcomes(run, numbers[0], numbers[numbers.length - 1]), whole);
    const metrics = store.steps(run).map((row) => row.metrics);
    assert.deepEqual(store.stepTotals(run), {
      stepMs: metrics.reduce((sum, { stepMs }) => sum + stepMs, 0),
      sampledTokens: metrics.reduce((sum, { sampledTokens }) => sum + sampledTokens, 0),
    });
  }
  assert.deepEqual(store.stepNumbers('run-abc'), [1, 2, 3, 4]);
  assert.equal(store.outcomes('run-abc', 2, 3).length, 40);
});
