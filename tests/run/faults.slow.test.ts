/** What happens to a run when something breaks in the middle of it. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import { type Agent, openAgent } from '../../src-main/engine/run/agent.ts';
import { loadPolicy } from '../../src-main/engine/run/load-policy.ts';
import { updatePolicy, newTrainer } from '../../src-main/engine/run/policy-update.ts';
import { checkpointsToKeep } from '../../src-main/engine/run/run-state.ts';
import { copyPolicy, type Policy } from '../../src-main/engine/runtime/policy.ts';
import { listCheckpoints } from '../../src-main/engine/train/checkpoint.ts';
import { lastOf, openTasks, overUser, runEvents, temporaryFolder, tinyConfig } from './starter.ts';

const small = { selectionProblems: 2, reportProblems: 2, evaluation: { everySteps: 9, greedy: false } };

/** The agent, and the policy that a run takes from it: the way to break weights that a run works with. */
function watched(): { agent: Agent; policy: () => Policy } {
  const agent = openAgent('starter:over-user');
  const policies: Policy[] = [];
  const newPolicy: Agent['newPolicy'] = (...args) => {
    policies.push(agent.newPolicy(...args));
    return policies[0];
  };
  return { agent: { ...agent, newPolicy }, policy: () => policies[0] };
}

test('weights that become NaN in the middle of a run end it, and the last checkpoint is the last good one', async (t) => {
  const { agent, policy } = watched();
  const folder = temporaryFolder(t);
  const config = tinyConfig({ ...small, steps: 3 });
  const events: RunEvent[] = [];
  const run = runEvents(config, folder, {
    dependencies: { agent },
    onEvent(event) {
      events.push(event);
      if (event.kind === 'checkpoint' && event.checkpoint.step === 1) {
        policy().base.tensors['model.layers.1.mlp.up_proj.weight'].data[5] = Number.NaN;
      }
    },
  });
  await assert.rejects(run, { code: 'diverged', message: /step 1 / });
  assert.equal(lastOf(events, 'step').step, 1);
  const { checkpoint } = lastOf(events, 'checkpoint');
  assert.equal(checkpoint.step, 1);
  assert.ok(
    loadPolicy(openAgent(config.model), config, join(folder, 'run', checkpoint.folder)).base.flat.every(
      Number.isFinite,
    ),
  );
});

test('a loss that overflows in the second of two updates takes the first one back', async (t) => {
  const config = tinyConfig({ ...small, steps: 1, train: { updatesPerBatch: 2 } });
  const { groups } = lastOf(await runEvents(config, temporaryFolder(t)), 'step');
  const scored = groups.map((group) => ({
    ...group,
    trajectories: group.trajectories.map((one, i) => ({ ...one, advantage: i % 2 === 0 ? 1 : -1 })),
  }));
  const policy = overUser.newPolicy(null, 0);
  const before = copyPolicy(policy);
  const trainer = newTrainer(config, policy, 1);
  t.after(() => trainer.dispose());
  // a rate at which the first update throws the weights so far that the second finds no numbers
  const metrics = await updatePolicy({ config, trainer, start: before }, scored, 1e30);
  assert.ok(!Number.isFinite(metrics.loss) || !Number.isFinite(metrics.gradNorm), 'the second update failed');
  assert.ok(policy.base.flat.every((value, i) => value === before.base.flat[i]));
  assert.equal(trainer.optimizer.updates, 0);
  assert.ok(trainer.optimizer.m.every((value) => value === 0));
});

test('a learning rate that ruins the agent ends a guarded run at the next measurement, and the start is still there', async (t) => {
  const folder = temporaryFolder(t);
  const settings = {
    steps: 6,
    selectionProblems: 48,
    reportProblems: 2,
    evaluation: { everySteps: 2, greedy: false },
    train: { learningRate: 0.03, warmupSteps: 0 },
  };
  for (const [guard, reason] of [
    [{ success: 0.5 }, /^Success collapsed: .* at step 0, .*guard\.success = 0\.5/],
    [{ kl: 0.05 }, /^The policy went too far .* nats a token, more than guard\.kl = 0\.05/],
  ] as const) {
    const events = await runEvents(tinyConfig({ ...settings, guard }), folder);
    const ended = lastOf(events, 'ended');
    assert.deepEqual([ended.status, ended.step], ['failed', 2]);
    assert.match(ended.reason, reason);
    assert.equal(lastOf(events, 'evaluated').point.step, 2);
    assert.ok(listCheckpoints(join(folder, 'run')).some(({ step }) => step === 0));
  }
});

test('a tool that breaks is named as the reason, also where other tools work', async (t) => {
  const folder = temporaryFolder(t);
  const tasks = ['arithmetic', 'multi-hop'];
  const environment = await openTasks(overUser, tasks, folder);
  const breaking = {
    ...environment,
    callTool: (...call: Parameters<typeof environment.callTool>) =>
      call[1] === 'search' ? Promise.reject(new Error('the index is gone')) : environment.callTool(...call),
  };
  const events = await runEvents(tinyConfig({ ...small, tasks, trainProblems: 4 }), folder, {
    dependencies: { environment: breaking },
  });
  const ended = lastOf(events, 'ended');
  assert.equal(ended.status, 'failed');
  assert.match(ended.reason, /\bsearch failed in/);
  assert.doesNotMatch(ended.reason, /python/);
});

test('a checkpoint of a later step that nobody counts takes no place among those that are kept', async (t) => {
  const state = { step: 3, frontier: [{ step: 1 }] } as unknown as Parameters<typeof checkpointsToKeep>[1];
  assert.deepEqual([...checkpointsToKeep([0, 1, 2, 3, 4], state, 1)].sort(), [0, 1, 3]);

  // killed after the folder of step 2 was written and before the log had it; resumed from 0 and stopped at 1
  const folder = temporaryFolder(t);
  const config = tinyConfig({ ...small, steps: 2, checkpoint: { everySteps: 2, keepLast: 1 } });
  const first = await runEvents(config, folder);
  const [start] = first.flatMap((event) => (event.kind === 'checkpoint' ? [event.checkpoint] : []));
  const again = temporaryFolder(t);
  cpSync(join(folder, 'run'), join(again, 'run'), { recursive: true });
  const begin = { kind: 'resume', folder: join(again, 'run', start.folder), attempt: 1 } as const;
  const second = await runEvents(config, again, { begin, stopAfter: 1 });
  const { checkpoint, dropped } = lastOf(second, 'checkpoint');
  assert.equal(checkpoint.step, 1);
  assert.ok(!dropped.includes(1), 'the checkpoint just saved is not dropped');
  assert.ok(listCheckpoints(join(again, 'run')).some(({ step }) => step === 1));
});

test('a token limit beyond the positions of the model is the positions of the model', async (t) => {
  const agent = openAgent('starter:over-user');
  const short = {
    ...agent,
    config: { ...agent.config, maxPositions: 20 },
    newPolicy: (...args: Parameters<Agent['newPolicy']>) => {
      const policy = agent.newPolicy(...args);
      return { ...policy, config: { ...policy.config, maxPositions: 20 } };
    },
  };
  const config = tinyConfig({ ...small, steps: 1, limits: { tokens: 160 } });
  const events = await runEvents(config, temporaryFolder(t), { dependencies: { agent: short } });
  const all = lastOf(events, 'step').groups.flatMap((group) => group.trajectories);
  assert.ok(all.some(({ stopReason }) => stopReason === 'token-limit'));
  assert.ok(all.every(({ tokens }) => tokens.length <= 20));
});
