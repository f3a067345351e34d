import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runKeeper } from '../../src-main/app/active-run.ts';
import { runAttendant } from '../../src-main/app/attendant.ts';
import { type Death, engineLane, type Lane } from '../../src-main/app/engine-lane.ts';
import type { News } from '../../src-main/app/feed.ts';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import { type FakeEngine, fakeEngine } from './fake-engine.ts';

const started = { kind: 'started', runId: 'r', config: { steps: 10 }, facts: {} } as unknown as RunEvent;
const step = (n: number) => ({ kind: 'step', runId: 'r', step: n, groups: [], metrics: {} }) as unknown as RunEvent;
const saved = (n: number) =>
  ({ kind: 'checkpoint', runId: 'r', checkpoint: { step: n }, dropped: [] }) as unknown as RunEvent;
const ended = (status: 'finished' | 'failed' | 'stopped'): RunEvent => ({
  kind: 'ended',
  runId: 'r',
  step: 10,
  status,
  reason: 'why',
});

function setting() {
  const engines: FakeEngine[] = [];
  const deaths: Death[] = [];
  const news: News[] = [];
  const power: string[] = [];
  const notes: string[] = [];
  let focused = false;
  const lane: Lane = engineLane({
    start: () => {
      engines.push(fakeEngine());
      return engines[engines.length - 1];
    },
    silenceMs: 60_000,
    onDeath: (death) => deaths.push(death),
  });
  const attendant = runAttendant({
    powerSaveBlocker: { start: (type) => power.push(`start ${type}`), stop: (id) => power.push(`stop ${id}`) },
    notify: ({ title }) => void notes.push(title),
    setProgress: (share) => void power.push(`progress ${share}`),
    windowFocused: () => focused,
    showWindow: () => {},
  });
  const keeper = runKeeper({ lane, tell: (item) => news.push(item), ...attendant });
  const engine = () => engines[engines.length - 1];
  const emit = (event: RunEvent, command = 'tune') =>
    engine().say({ kind: 'event', id: engine().idOf(command), event });
  const finish = (command = 'tune') => engine().say({ kind: 'result', id: engine().idOf(command), result: null });
  return {
    lane,
    keeper,
    engines,
    engine,
    emit,
    finish,
    deaths,
    news,
    power,
    notes,
    focus: (on: boolean) => {
      focused = on;
    },
  };
}

test('tune is answered by the first event, not by the end', async () => {
  const { keeper, emit, finish, lane } = setting();
  const answer = keeper.begin('tune', {});
  assert.equal(keeper.active()?.phase, 'starting');
  emit(started);
  assert.deepEqual(await answer, { runId: 'r' });
  assert.deepEqual(keeper.active(), { runId: 'r', phase: 'running', step: 0, plannedSteps: 10 });
  emit(step(4));
  assert.equal(keeper.active()?.step, 4);
  finish();
  await lane.end(0);
  assert.equal(keeper.active(), null);
});

test('a run that cannot start rejects with the record of the engine, and leaves nothing active', async () => {
  const { keeper, engine, lane } = setting();
  const answer = keeper.begin('tune', {});
  engine().say({ kind: 'error', id: engine().idOf('tune'), error: { code: 'config', message: 'm', hint: 'h' } });
  await assert.rejects(answer, { code: 'config', message: 'm', hint: 'h' });
  assert.equal(keeper.active(), null);
  await lane.end(0);
});

test('a second run is refused while one is active, and prices go to the active one', async () => {
  const { keeper, emit, engine, lane } = setting();
  await assert.rejects(keeper.setPrices({ python: 2 }), { code: 'usage' });
  void keeper.begin('tune', {});
  emit(started);
  await assert.rejects(keeper.begin('tune', {}), { code: 'usage', message: /run r is active/ });
  const set = keeper.setPrices({ python: 2 });
  const id = engine().idOf('window-prices');
  assert.deepEqual(
    engine().sent.find((request) => request.id === id),
    {
      kind: 'command',
      id,
      command: 'window-prices',
      payload: { run: 'r', prices: { python: 2 } },
    },
  );
  engine().say({ kind: 'result', id, result: null });
  await set;
  await lane.end(0);
});

test('pause stops the run and remembers it; resume goes on; stop forgets it', async () => {
  const { keeper, emit, engine, finish, lane } = setting();
  void keeper.begin('tune', {});
  emit(started);
  keeper.pause();
  assert.equal(keeper.active()?.phase, 'pausing');
  assert.ok(engine().sent.some((request) => request.kind === 'stop' && request.id === engine().idOf('tune')));
  finish();
  await new Promise(setImmediate);
  assert.equal(keeper.active()?.phase, 'paused');
  assert.equal(keeper.busy(), false);
  const resumed = keeper.begin('resume', { run: 'r' }, 10);
  emit({ kind: 'resumed', runId: 'r', fromStep: 4, attempt: 2 }, 'resume');
  assert.deepEqual(await resumed, { runId: 'r' });
  assert.deepEqual(keeper.active(), { runId: 'r', phase: 'running', step: 4, plannedSteps: 10 });
  keeper.pause();
  finish('resume');
  await new Promise(setImmediate);
  keeper.stop();
  assert.equal(keeper.active(), null);
  await lane.end(0);
});

test('the death of the engine leaves the run with the step of its last checkpoint', async () => {
  const { keeper, emit, engine, deaths, lane } = setting();
  const answer = keeper.begin('tune', {});
  emit(started);
  await answer;
  emit(saved(2));
  emit(step(3));
  engine().die(0xc0000005 | 0, 'last words');
  assert.deepEqual(
    deaths.map(({ reason, asked, output }) => [reason, asked, output]),
    [['ended by a native fault (0xC0000005)', false, 'last words']],
  );
  assert.deepEqual(keeper.bury(), { runId: 'r', fromStep: 2 });
  assert.equal(keeper.active(), null);
  assert.equal(keeper.bury(), null);
  assert.equal(lane.alive(), false);
});

test('the machine stays awake from start to end, not while paused, and once', async () => {
  const { keeper, emit, finish, power, lane } = setting();
  void keeper.begin('tune', {});
  emit(started);
  emit(step(5));
  assert.deepEqual(
    power.filter((line) => line.startsWith('st')),
    ['start prevent-app-suspension'],
  );
  assert.ok(power.includes('progress 0.5'));
  keeper.pause();
  finish();
  await new Promise(setImmediate);
  assert.equal(power.filter((line) => line.startsWith('stop')).length, 1);
  assert.equal(power[power.length - 1], 'progress -1');
  await lane.end(0);
});

test('the end of a run is said where nobody looks, a stop by the user never', async () => {
  const { keeper, emit, notes, focus, lane } = setting();
  void keeper.begin('tune', {});
  emit(started);
  emit(ended('finished'));
  emit(ended('failed'));
  emit(ended('stopped'));
  focus(true);
  emit(ended('finished'));
  assert.deepEqual(notes, ['Run r has finished', 'Run r failed']);
  await lane.end(0);
});
