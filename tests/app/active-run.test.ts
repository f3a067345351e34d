import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type RunKeeper, runKeeper } from '../../src-main/app/active-run.ts';
import { runAttendant } from '../../src-main/app/attendant.ts';
import { type Death, engineLane, type Lane } from '../../src-main/app/engine-lane.ts';
import type { News } from '../../src-main/app/feed.ts';
import { type RunConfig, type RunConfigInput, runConfigSchema } from '../../src-main/contract/run-config.ts';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import { type FakeEngine, fakeEngine } from './fake-engine.ts';

const startedWith = (changes: Partial<RunConfigInput>) => {
  const config = runConfigSchema.parse({ model: 'm', tasks: ['t'], steps: 10, ...changes });
  return { kind: 'started', runId: 'r', config, facts: {} } as unknown as RunEvent;
};
type Sizes = { rolloutBatch: number; microBatchTokens: number };
/** What the window was told of engines that are gone. */
const goneOf = (news: News[]) =>
  news.flatMap((item) => {
    if (item.kind !== 'engine' || item.engine.state !== 'gone') return [];
    const { state: _, ...rest } = item.engine;
    return [rest];
  });
const started = startedWith({});
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
    onDeath(death) {
      deaths.push(death);
      keeper.died(death);
    },
  });
  const attendant = runAttendant({
    powerSaveBlocker: { start: (type) => power.push(`start ${type}`), stop: (id) => power.push(`stop ${id}`) },
    notify: ({ title }) => void notes.push(title),
    setProgress: (share) => void power.push(`progress ${share}`),
    windowFocused: () => focused,
    showWindow: () => {},
  });
  const keeper: RunKeeper = runKeeper({ lane, tell: (item) => news.push(item), ...attendant });
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
  const { keeper, emit, engine, deaths, news, lane } = setting();
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
  assert.deepEqual(goneOf(news), [
    {
      reason: 'The engine ended by a native fault (0xC0000005).',
      hint: 'last words',
      resume: { runId: 'r', fromStep: 2 },
    },
  ]);
  assert.equal(keeper.active(), null);
  assert.equal(lane.alive(), false);
});

describe('a run on a GPU goes on by itself', () => {
  const resumed = (fromStep: number): RunEvent => ({ kind: 'resumed', runId: 'r', fromStep, attempt: 2 });
  const asked = (engine: FakeEngine) =>
    engine.sent.flatMap((sent) => (sent.kind === 'command' && sent.command === 'resume' ? [sent.payload] : []));

  /** A run on a GPU in step 3, saved at step 2. */
  async function onGpu(onProviderFailure: RunConfig['onProviderFailure'], changes: Partial<RunConfig> = {}) {
    const desk = setting();
    const answer = desk.keeper.begin('tune', {});
    desk.emit(startedWith({ provider: 'webgpu', onProviderFailure, ...changes }));
    await answer;
    desk.emit(saved(2));
    desk.emit(step(3));
    return desk;
  }

  test('on the CPU, in a new engine, from its last checkpoint, and the log will say why', async () => {
    const { keeper, engine, engines, emit, news, lane } = await onGpu('cpu');
    engine().die(0xc0000005 | 0);
    assert.equal(engines.length, 2);
    const after =
      'The engine ended by a native fault (0xC0000005). The run goes on on the CPU from step 2; nothing that was saved is lost.';
    assert.deepEqual(asked(engine()), [{ run: 'r', provider: 'cpu', after }]);
    assert.deepEqual(goneOf(news), []);
    emit(startedWith({ provider: 'cpu' }), 'resume');
    emit(resumed(2), 'resume');
    assert.deepEqual(keeper.active(), { runId: 'r', phase: 'running', step: 2, plannedSteps: 10 });
    // on the CPU there is nothing left to try
    engine().die(1);
    assert.equal(engines.length, 2);
    assert.deepEqual(
      goneOf(news).map(({ resume }) => resume),
      [{ runId: 'r', fromStep: 2 }],
    );
    await lane.end(0);
  });

  test('with smaller batches, again and again, also where the engine lived and the GPU was lost', async () => {
    const { engine, engines, emit, lane } = await onGpu('smaller-batch');
    engine().die(1);
    assert.deepEqual(
      asked(engine()).map((payload) => [(payload as Sizes).rolloutBatch, (payload as Sizes).microBatchTokens]),
      [[128, 1024]],
    );
    emit(startedWith({ provider: 'webgpu', onProviderFailure: 'smaller-batch', rolloutBatch: 128 }), 'resume');
    emit(resumed(2), 'resume');
    const error = { code: 'device', message: 'The GPU was lost.', hint: '' } as const;
    engine().say({ kind: 'error', id: engine().idOf('resume'), error });
    while (engines.length < 3) await new Promise(setImmediate);
    assert.equal(engines[1].killed, true);
    assert.equal((asked(engine())[0] as Sizes).rolloutBatch, 64);
    await lane.end(0);
  });

  test('but not where it is to stop, was paused, or had saved nothing', async () => {
    const told = await onGpu('stop');
    told.engine().die(1);
    const paused = await onGpu('cpu');
    paused.keeper.pause();
    paused.engine().die(1);
    const unsaved = setting();
    const answer = unsaved.keeper.begin('tune', {});
    unsaved.emit(startedWith({ provider: 'webgpu' }));
    await answer;
    unsaved.engine().die(1);
    for (const { engines, news, keeper } of [told, paused, unsaved]) {
      assert.equal(engines.length, 1);
      assert.equal(goneOf(news).length, 1);
      assert.equal(keeper.active(), null);
    }
  });

  test('a resume that is refused is told as the end of the engine that it is', async () => {
    const { engine, news, lane } = await onGpu('cpu');
    engine().die(1);
    const error = { code: 'not-found', message: 'Run r has no whole checkpoint.', hint: '' } as const;
    engine().say({ kind: 'error', id: engine().idOf('resume'), error });
    await new Promise(setImmediate);
    assert.deepEqual(goneOf(news), [
      {
        reason: 'The engine ended unexpectedly (exit code 1).',
        hint: 'Run r has no whole checkpoint.',
        resume: { runId: 'r', fromStep: 2 },
      },
    ]);
    await lane.end(0);
  });
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
