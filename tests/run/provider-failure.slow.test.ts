/** What a run does when its GPU fails in the middle: every end that `onProviderFailure` promises, and that nothing is lost. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import { newTrainer, updatePolicy } from '../../src-main/engine/run/policy-update.ts';
import { afterFailure } from '../../src-main/engine/run/run-provider.ts';
import { copyPolicy } from '../../src-main/engine/runtime/policy.ts';
import { type DeviceRun, fakeDevice, faultWords } from './fake-device.ts';
import { lastOf, overUser, runEvents, temporaryFolder, tinyConfig } from './starter.ts';

const small = { selectionProblems: 2, reportProblems: 1, steps: 3, evaluation: { everySteps: 9, greedy: false } };
const onGpu = (changes = {}) => tinyConfig({ ...small, provider: 'webgpu', ...changes });

const trains = ({ feeds }: DeviceRun) => feeds.targets !== undefined && feeds.tokenWeights !== undefined;
const decodes = ({ feeds }: DeviceRun) => feeds.slots !== undefined;

/** Fails the `number`-th run of a kind (from 1) after the numerics gate has passed, and all runs after it. */
function dead(kind: (run: DeviceRun) => boolean, isOpen: () => boolean, number = 1) {
  let seen = 0;
  return (run: DeviceRun) => {
    if (isOpen() && kind(run)) seen++;
    if (seen >= number) throw new Error(faultWords.lost);
  };
}

const steps = (events: RunEvent[]) => events.flatMap((event) => (event.kind === 'step' ? [event] : []));
const told = (events: RunEvent[]) =>
  events.flatMap((event) => (event.kind === 'notice' && event.code === 'provider-failed' ? [event.message] : []));

for (const [what, kind] of [
  ['an update', trains],
  ['a rollout', decodes],
] as const) {
  test(`a GPU that is lost in ${what} leaves the run on the CPU, with every step once and the CPU's numbers`, async (t) => {
    const events: RunEvent[] = [];
    // alive through the gate and the first step
    const isOpen = () => events.some((event) => event.kind === 'step');
    fakeDevice(t, dead(kind, isOpen));
    await runEvents(onGpu(), temporaryFolder(t), { onEvent: (event) => events.push(event) });
    const expected = steps(await runEvents(onGpu({ provider: 'cpu' }), temporaryFolder(t)));
    assert.deepEqual(
      steps(events).map(({ step }) => step),
      [1, 2, 3],
    );
    assert.equal(lastOf(events, 'ended').status, 'finished');
    assert.equal(told(events).length, 1);
    assert.match(told(events)[0], /GPU \(webgpu\) failed.*MapAsyncStatus.* goes on on the CPU; .*nothing is lost/s);
    for (const [i, { metrics, groups }] of steps(events).entries()) {
      assert.ok(Math.abs(metrics.loss - expected[i].metrics.loss) < 1e-4, `loss of step ${i + 1}`);
      assert.deepEqual(
        groups.map(({ problem }) => problem.id),
        expected[i].groups.map(({ problem }) => problem.id),
      );
    }
  });
}

test('a GPU that is lost while a session is opened leaves the run on the CPU, too', async (t) => {
  const events: RunEvent[] = [];
  const onOpen = () => {
    if (events.some((event) => event.kind === 'step')) throw new Error(faultWords.lostBefore);
  };
  fakeDevice(t, () => {}, onOpen);
  // the greedy decoding graph is not opened before the first evaluation
  const config = onGpu({ evaluation: { everySteps: 1, greedy: true } });
  await runEvents(config, temporaryFolder(t), { onEvent: (event) => events.push(event) });
  assert.equal(lastOf(events, 'ended').status, 'finished');
  assert.equal(told(events).length, 1);
});

test('a run that was told to stop does so: the step is not there, the checkpoint before it is, and the CPU goes on from it', async (t) => {
  const folder = temporaryFolder(t);
  const events: RunEvent[] = [];
  const onEvent = (event: RunEvent) => events.push(event);
  fakeDevice(
    t,
    dead(trains, () => events.some((event) => event.kind === 'step')),
  );
  const config = onGpu({ onProviderFailure: 'stop' });
  await assert.rejects(runEvents(config, folder, { onEvent }), { code: 'device', hint: /--provider cpu/ });
  assert.equal(steps(events).length, 1);
  const { checkpoint } = lastOf(events, 'checkpoint');
  assert.equal(checkpoint.step, 1);
  const begin = { kind: 'resume', folder: join(folder, 'run', checkpoint.folder), attempt: 2 } as const;
  const rest = await runEvents({ ...config, provider: 'cpu' }, folder, { begin });
  assert.deepEqual(
    steps(rest).map(({ step }) => step),
    [2, 3],
  );
});

test('want of memory halves the batches until they fit, and the updates are the same', async (t) => {
  const most = 300;
  fakeDevice(t, (run) => {
    if (trains(run) && run.feeds.ids.size > most) throw new Error(faultWords.memory);
  });
  const events = await runEvents(onGpu({ onProviderFailure: 'smaller-batch' }), temporaryFolder(t));
  assert.equal(lastOf(events, 'started').facts.provider, 'webgpu');
  assert.deepEqual(
    told(events).map((message) => /train\.microBatchTokens (\d+)/.exec(message)?.[1]),
    ['1024', '512', '256'],
  );
  const expected = steps(await runEvents(onGpu({ provider: 'cpu' }), temporaryFolder(t)));
  for (const [i, { metrics }] of steps(events).entries())
    assert.ok(Math.abs(metrics.gradNorm - expected[i].metrics.gradNorm) < 1e-3 * expected[i].metrics.gradNorm);
});

test('a GPU that never has enough memory ends the run in one error that says so', async (t) => {
  fakeDevice(t, (run) => {
    if (trains(run)) throw new Error(faultWords.memory);
  });
  const run = runEvents(onGpu({ onProviderFailure: 'smaller-batch' }), temporaryFolder(t));
  await assert.rejects(run, { code: 'memory', message: /on the GPU \(webgpu\)/, hint: /microBatchTokens/ });
});

test('a failure between two updates of a step takes the first one back', async (t) => {
  const config = onGpu({ train: { updatesPerBatch: 2 } });
  const { groups } = lastOf(await runEvents({ ...config, provider: 'cpu', steps: 1 }, temporaryFolder(t)), 'step');
  const scored = groups.map((group) => ({
    ...group,
    trajectories: group.trajectories.map((one, i) => ({ ...one, advantage: i % 2 === 0 ? 1 : -1 })),
  }));
  fakeDevice(
    t,
    dead(trains, () => true, 2),
  );
  const policy = overUser.newPolicy(null, 0);
  const before = copyPolicy(policy);
  const trainer = newTrainer(config, policy, 1);
  t.after(() => trainer.dispose());
  await assert.rejects(updatePolicy({ config, trainer, start: before }, scored, 1e-3), { code: 'device' });
  assert.deepEqual(policy.base.flat, before.base.flat);
  assert.equal(trainer.optimizer.updates, 0);
});

test('only a failing GPU changes how a run goes on', () => {
  const lost = new ParetuneError('device', 'lost');
  assert.equal(afterFailure(onGpu(), lost)?.provider, 'cpu');
  assert.equal(afterFailure(onGpu({ onProviderFailure: 'stop' }), lost), null);
  assert.equal(afterFailure(onGpu({ onProviderFailure: 'smaller-batch' }), lost), null);
  assert.equal(afterFailure(onGpu({ provider: 'cpu' }), new ParetuneError('memory', 'short')), null);
  assert.equal(afterFailure(onGpu(), new ParetuneError('disk', 'full')), null);
  assert.equal(afterFailure(onGpu(), new Error('a fault of ours')), null);
});
