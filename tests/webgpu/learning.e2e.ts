/**
 * The starter agent learns on WebGPU: what the CPU logged is replayed with equal losses, and a short ParetoPO run of its
 * own ends where the CPU's of the same seed does. Sized for a software device: about 60 rollouts a step.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { RunConfigInput } from '../../src-main/contract/run-config.ts';
import { replay } from '../../src-main/engine/run/replay.ts';
import { openStore } from '../../src-main/store/open-store.ts';
import { lastOf, overUser, runEvents, temporaryFolder, tinyConfig } from '../run/starter.ts';
import { noDevice } from './device.ts';

describe('learning on WebGPU', { skip: noDevice }, () => {
  test('the logged trajectories of a run on the CPU give the same losses, step after step', async (t) => {
    const folder = temporaryFolder(t);
    const store = openStore(folder, { mode: 'write' });
    t.after(() => store.close());
    // the second update of a step and the KL term make the loss a matter of the weights, not of the advantages alone
    const train = { klCoefficient: 0.02, updatesPerBatch: 2, learningRate: 1e-3, warmupSteps: 0 };
    const config = tinyConfig({ steps: 3, train, evaluation: { everySteps: 9, greedy: false } });
    const events = await runEvents(config, folder, { onEvent: (event) => store.append(event) });
    const first = events.flatMap((event) => (event.kind === 'checkpoint' ? [event.checkpoint] : []))[0];
    const logged = [1, 2, 3].map((step) => store.readStep('test', step));
    const from = join(folder, 'run', first.folder);
    const [cpu, gpu] = [
      await replay(overUser, config, from, logged, 1),
      await replay(overUser, { ...config, provider: 'webgpu' }, from, logged, 1),
    ];
    for (const [step, { metrics }] of cpu.entries()) {
      const found = gpu[step].metrics;
      t.diagnostic(`loss ${metrics.loss} and ${found.loss}, gradient ${metrics.gradNorm} and ${found.gradNorm}`);
      assert.ok(
        Math.abs(found.loss - metrics.loss) <= 1e-4 * Math.max(1, Math.abs(metrics.loss)),
        `loss of step ${step + 1}`,
      );
      assert.ok(Math.abs(found.gradNorm - metrics.gradNorm) <= 2e-3 * metrics.gradNorm, `gradient of step ${step + 1}`);
      for (const [row, logprobs] of metrics.logprobs.entries())
        for (const [i, value] of logprobs.entries()) assert.ok(Math.abs(found.logprobs[row][i] - value) <= 2e-3);
    }
    assert.ok(
      cpu.some(({ metrics }, step) => metrics.loss !== cpu[0].metrics.loss && step > 0),
      'the losses differ by step',
    );
  });

  test('six steps of ParetoPO teach the under-user as they do on the CPU', async (t) => {
    const settings: Partial<RunConfigInput> = {
      model: 'starter:under-user',
      tasks: ['arithmetic-calculator'],
      method: 'paretopo',
      steps: 6,
      problemsPerStep: 8,
      groupSize: 8,
      trainProblems: 512,
      selectionProblems: 64,
      reportProblems: 1,
      train: { learningRate: 7e-4, warmupSteps: 0 },
      evaluation: { everySteps: 6, greedy: false },
      checkpoint: { everySteps: 6 },
      limits: { seconds: 3600 },
    };
    const [cpu, gpu] = [await learn('cpu'), await learn('webgpu')];
    for (const { points } of [cpu, gpu]) t.diagnostic(points.map(({ success }) => success.toFixed(3)).join(' -> '));
    const [before, after] = gpu.points;
    assert.deepEqual([before.step, after.step, after.n], [0, 6, 64]);
    assert.ok(after.success > before.success + 0.25, `${before.success} -> ${after.success}`);
    assert.ok(after.calls > before.calls + 0.5, 'by calling');
    // one answer of 64 may turn on a rounding at the start, seven after six steps of sampling
    assert.ok(Math.abs(before.success - cpu.points[0].success) <= 1 / 64);
    assert.ok(Math.abs(after.success - cpu.points[1].success) <= 7 / 64);
    assert.ok(!gpu.events.some((event) => event.kind === 'notice' && event.code === 'cpu-fallback'));

    async function learn(provider: 'cpu' | 'webgpu') {
      const events = await runEvents(tinyConfig({ ...settings, provider }), temporaryFolder(t));
      assert.equal(lastOf(events, 'ended').status, 'finished');
      const points = events.flatMap((event) =>
        event.kind === 'evaluated' && event.point.split === 'selection' ? [event.point] : [],
      );
      return { events, points };
    }
  });
});
