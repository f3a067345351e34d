/** The commands that only read the store, on a real one: which checkpoint is meant, summaries, comparison, new prices. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import type { CommandContext } from '../../src-main/engine-process/command.ts';
import { command as compare } from '../../src-main/engine-process/commands/compare.ts';
import { command as rescore } from '../../src-main/engine-process/commands/rescore.ts';
import { command as runs } from '../../src-main/engine-process/commands/runs.ts';
import { command as show } from '../../src-main/engine-process/commands/show.ts';
import { pickCheckpoint } from '../../src-main/engine-process/pick-checkpoint.ts';
import { withStore } from '../../src-main/engine-process/with-store.ts';
import { openStore } from '../../src-main/store/open-store.ts';
import { checkpointEvent, evaluated, started, stepEvent } from '../store/samples.ts';

const dataFolder = mkdtempSync(join(tmpdir(), 'paretune-stored-'));
after(() => rmSync(dataFolder, { recursive: true }));

function context(signal = new AbortController().signal): CommandContext {
  return { dataFolder, emit: () => {}, progress: () => {}, item: () => {}, signal };
}

/** Start, three steps and three checkpoints; the point of step 2 is dominated by that of step 3. */
const events: RunEvent[] = [
  started('first-1'),
  evaluated('first-1', 0, 0.8, 2),
  evaluated('first-1', 0, 0.79, 2, { split: 'report' }),
  checkpointEvent('first-1', 0),
  stepEvent('first-1', 1),
  evaluated('first-1', 1, 0.5, 0.4),
  checkpointEvent('first-1', 1),
  stepEvent('first-1', 2),
  evaluated('first-1', 2, 0.7, 1.5),
  checkpointEvent('first-1', 2),
  stepEvent('first-1', 3),
  evaluated('first-1', 3, 0.78, 1),
  checkpointEvent('first-1', 3),
  evaluated('first-1', 3, 0.77, 1.1, { split: 'report' }),
  { kind: 'notice', runId: 'first-1', step: 3, level: 'warning', code: 'x', message: 'take care' },
  { kind: 'ended', runId: 'first-1', step: 3, status: 'finished', reason: 'All steps are done.' },
];

before(async () => {
  const empty = await runs.run({}, context());
  assert.deepEqual(empty.runs, [], 'no database is no error');
  const store = openStore(dataFolder, { mode: 'write' });
  for (const event of events) store.append(event);
  for (const event of [started('second-1'), evaluated('second-1', 0, 0.6, 3)]) store.append(event);
  const third = started('third-1');
  store.append({ ...third, facts: { ...third.facts, costLimit: 8 } });
  store.close();
});

async function failure(action: Promise<unknown>): Promise<ParetuneError> {
  try {
    await action;
  } catch (error) {
    assert.ok(error instanceof ParetuneError, String(error));
    return error;
  }
  assert.fail('nothing was thrown');
}

test('checkpoints are named by step, last, the frontier from its cheapest point, and the best', async () => {
  const pick = (name: string) => withStore(dataFolder, 'read', (store) => pickCheckpoint(store, 'first-1', name).step);
  assert.equal(await pick('2'), 2);
  assert.equal(await pick('last'), 3);
  assert.equal(await pick('frontier:1'), 1);
  assert.equal(await pick('frontier:2'), 3);
  assert.equal(await pick('frontier:3'), 0);
  assert.equal(await pick('best'), 3);
  for (const wrong of ['4', 'frontier:4', 'frontier:0', 'frontier:x', 'first', '-1', '1.0']) {
    const error = await failure(pick(wrong));
    assert.equal(error.code, 'not-found');
    assert.match(error.message, /0, 1, 2, 3/, wrong);
  }
});

test('a run is summed up by the report split before and after, and by its frontier', async () => {
  const run = await show.run({ run: 'first' }, context());
  assert.equal(run.runId, 'first-1');
  assert.equal(run.report?.before.success, 0.79);
  assert.equal(run.report?.after.cost, 1.1);
  assert.equal(run.reportGreedy, null);
  assert.deepEqual(
    run.points.map(({ step, onFrontier, checkpoint }) => [step, onFrontier, checkpoint]),
    [
      [0, true, true],
      [1, true, true],
      [2, false, true],
      [3, true, true],
    ],
  );
  assert.deepEqual(run.hypervolume, { before: 0.8 * 0.5, after: 0.78 * 0.75 });
  assert.equal(run.stepSeconds, (3 * 760) / 1000);
  assert.deepEqual(run.warnings, [{ step: 3, code: 'x', message: 'take care' }]);
});

test('only runs on the same axes are compared', async () => {
  const { runs: both } = await compare.run({ runs: ['first-1', 'second-1'] }, context());
  assert.deepEqual(
    both.map(({ runId, report }) => [runId, report === null]),
    [
      ['first-1', false],
      ['second-1', true],
    ],
  );
  const error = await failure(compare.run({ runs: ['first-1', 'third-1'] }, context()));
  assert.equal(error.code, 'usage');
  assert.match(error.message, /cost limit 4, .* against .* cost limit 8/);
});

test('new prices change what trajectories cost and nothing else; the old prices give the old costs back', async () => {
  const tools = await withStore(dataFolder, 'read', (store) => [
    ...new Set(
      store
        .readStep('first-1', 1)
        .flatMap((group) => group.trajectories.flatMap(({ toolCalls }) => toolCalls.map(({ name }) => name))),
    ),
  ]);
  const at = (price: number) =>
    rescore.run(
      { run: 'first-1', prices: Object.fromEntries(tools.map((tool) => [tool, price])), windows: 3 },
      context(),
    );
  const [one, three] = [await at(1), await at(3)];
  assert.equal(one.points.length, 3);
  for (const [i, point] of three.points.entries()) {
    assert.ok(point.cost > 0);
    assert.ok(Math.abs(point.cost - 3 * one.points[i].cost) < 1e-9, 'three times the price, three times the cost');
    assert.equal(point.success, one.points[i].success);
    assert.equal(point.n, one.points[i].n);
  }
  assert.ok(Math.abs(three.hypervolume - one.hypervolume) < 1e-9, 'the unit of prices does not matter');
  assert.ok(three.points.some(({ onFrontier }) => onFrontier));
  assert.match(
    (await failure(rescore.run({ run: 'first-1', prices: { nothing: 1 }, windows: 3 }, context()))).message,
    /nothing/,
  );
});

test('scoring again stops when it is asked to', async () => {
  const controller = new AbortController();
  const stopped = rescore.run({ run: 'first-1', prices: {}, windows: 3 }, context(controller.signal));
  controller.abort();
  assert.equal((await failure(stopped)).code, 'interrupted');
});

test('a second writer of a data folder is refused with who writes it', async () => {
  const store = openStore(dataFolder, { mode: 'write' });
  try {
    const error = await failure(withStore(dataFolder, 'write', () => assert.fail('it was opened')));
    assert.equal(error.code, 'store');
    assert.match(error.message, new RegExp(`process ${process.pid}`));
    assert.match(error.hint, /--data/);
  } finally {
    store.close();
  }
});
