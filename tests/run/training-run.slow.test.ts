import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { methodNames } from '../../src-main/contract/run-config.ts';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import { trainable } from '../../src-main/engine/runtime/policy.ts';
import { loadPolicy } from '../../src-main/engine/run/load-policy.ts';
import { openStore } from '../../src-main/store/open-store.ts';
import { lastOf, openTasks, overUser, runEvents, temporaryFolder, tinyConfig } from './starter.ts';

const hashes = (events: RunEvent[]) =>
  events.flatMap((event) => (event.kind === 'checkpoint' ? [event.checkpoint.weightsHash] : []));
const trajectories = (events: RunEvent[]) =>
  events.flatMap((event) =>
    event.kind === 'step' ? event.groups.flatMap((group) => group.trajectories.map((one) => one.tokens)) : [],
  );

test('events come in order, from the start to the end, and a store gives back what was written', async (t) => {
  const folder = temporaryFolder(t);
  const store = openStore(folder, { mode: 'write' });
  t.after(() => store.close());
  const events = await runEvents(tinyConfig(), folder, { onEvent: (event) => store.append(event) });
  const kinds = events.map((event) => event.kind);
  assert.equal(kinds[0], 'started');
  assert.equal(kinds.at(-1), 'ended');
  assert.deepEqual(
    events.flatMap((event) => (event.kind === 'step' ? [event.step] : [])),
    [1, 2],
  );
  assert.equal(lastOf(events, 'ended').status, 'finished');
  const step = lastOf(events, 'step');
  assert.deepEqual(store.readStep('test', 2), step.groups);
});

test('the same configuration gives the same weights and the same tokens', async (t) => {
  const [first, second] = [
    await runEvents(tinyConfig(), temporaryFolder(t)),
    await runEvents(tinyConfig(), temporaryFolder(t)),
  ];
  assert.deepEqual(hashes(first), hashes(second));
  assert.deepEqual(trajectories(first), trajectories(second));
  const other = await runEvents(tinyConfig({ seed: 1 }), temporaryFolder(t));
  assert.notDeepEqual(hashes(other), hashes(first));
});

test('a run that decodes in chunks takes the same rollouts', async (t) => {
  const events = await runEvents(tinyConfig({ decodeChunk: 8 }), temporaryFolder(t));
  const plain = await runEvents(tinyConfig(), temporaryFolder(t));
  assert.deepEqual(trajectories(events), trajectories(plain));
});

test('two steps, a stop, a resume and two steps equal four steps', async (t) => {
  const config = tinyConfig({ steps: 4, tasks: ['arithmetic', 'multi-hop'] });
  const whole = await runEvents(config, temporaryFolder(t));
  const folder = temporaryFolder(t);
  const before = await runEvents(config, folder, { stopAfter: 2 });
  assert.equal(lastOf(before, 'ended').status, 'stopped');
  const checkpoint = lastOf(before, 'checkpoint').checkpoint;
  assert.equal(checkpoint.step, 2);
  const begin = { kind: 'resume', folder: join(folder, 'run', checkpoint.folder), attempt: 1 } as const;
  const after = await runEvents(config, folder, { begin });
  assert.equal(after[0].kind, 'resumed');
  assert.equal(hashes(after).at(-1), hashes(whole).at(-1));
  assert.deepEqual([...trajectories(before), ...trajectories(after)], trajectories(whole));
  assert.deepEqual(lastOf(after, 'evaluated').point, lastOf(whole, 'evaluated').point);
});

test('the unit of prices does not matter: all times 1,000 is the same training', async (t) => {
  const prices = { python: 0.3, search: 0.7 };
  const tasks = ['arithmetic', 'multi-hop'];
  const first = await runEvents(tinyConfig({ tasks, prices }), temporaryFolder(t));
  const thousand = { python: 300, search: 700 };
  const second = await runEvents(tinyConfig({ tasks, prices: thousand }), temporaryFolder(t));
  assert.equal(hashes(first).at(-1), hashes(second).at(-1));
  assert.ok(lastOf(second, 'step').metrics.cost > 100 * lastOf(first, 'step').metrics.cost);
});

test('every method changes the weights, each in its own way', async (t) => {
  const ends = new Set<string>();
  let start = '';
  for (const method of methodNames) {
    const events = await runEvents(tinyConfig({ method, paretopo: {}, seed: 3 }), temporaryFolder(t));
    start = hashes(events)[0];
    assert.notEqual(hashes(events).at(-1), start, `${method} changed nothing`);
    ends.add(hashes(events).at(-1)!);
  }
  assert.equal(ends.size, methodNames.length);
});

test('an adapter is trained while the base stays, and its checkpoint holds the adapter only', async (t) => {
  const folder = temporaryFolder(t);
  const train = { parameters: 'lora', lora: { rank: 4, alpha: 8 }, learningRate: 1e-3 } as const;
  const config = tinyConfig({ train });
  const events = await runEvents(config, folder);
  const policy = loadPolicy(overUser, config, join(folder, 'run', lastOf(events, 'checkpoint').checkpoint.folder));
  const start = overUser.newPolicy(config.train.lora, config.seed);
  assert.deepEqual(policy.base.flat, start.base.flat);
  assert.notDeepEqual(trainable(policy).flat, trainable(start).flat);
  assert.ok(lastOf(events, 'step').metrics.samplerGap < 1e-4);
});

test('KL and several updates a batch run, and the sampler agrees with the trainer', async (t) => {
  const train = {
    klCoefficient: 0.05,
    updatesPerBatch: 2,
    aggregation: 'sequence-mean',
    importance: 'sequence',
  } as const;
  const events = await runEvents(tinyConfig({ train }), temporaryFolder(t));
  const { metrics } = lastOf(events, 'step');
  assert.ok(metrics.samplerGap < 1e-4, `gap ${metrics.samplerGap}`);
  assert.ok(metrics.kl !== null && metrics.kl >= 0);
});

test('new prices take effect between two steps and are in the log', async (t) => {
  let asked = 0;
  const takePrices = () => (asked++ === 1 ? { python: 5 } : null);
  const events = await runEvents(tinyConfig(), temporaryFolder(t), { dependencies: { takePrices } });
  assert.deepEqual(lastOf(events, 'prices').prices, { python: 5 });
  const [first, second] = events.filter((event) => event.kind === 'step');
  const price = (step: typeof first) => step.metrics.cost / step.metrics.calls;
  assert.equal(price(first), 1);
  assert.equal(Math.round(price(second)), 5);
});

test('a loss that is no number stops the run before it harms the weights', async (t) => {
  // a coefficient beyond float32: healthy rollouts, and the first loss is no number
  const train = { klCoefficient: 1e44 };
  const config = tinyConfig({ model: 'starter:under-user', tasks: ['arithmetic-calculator'], train, unsolved: 'one' });
  const events = await runEvents(config, temporaryFolder(t));
  const ended = lastOf(events, 'ended');
  assert.equal(ended.status, 'failed');
  assert.match(ended.reason, /learningRate/);
  assert.equal(ended.step, 0);
  assert.equal(new Set(hashes(events)).size, 1, 'what is saved are the weights of the start');
});

test('a tool that breaks in the middle of a run stops it with the tool named, and the run can go on', async (t) => {
  const folder = temporaryFolder(t);
  const config = tinyConfig({ steps: 3 });
  const environment = await openTasks(overUser, ['arithmetic'], folder);
  let steps = 0;
  const breaking = {
    ...environment,
    callTool: (...call: Parameters<typeof environment.callTool>) =>
      steps >= 1 ? Promise.reject(new Error('the tool is gone')) : environment.callTool(...call),
  };
  const events = await runEvents(config, folder, {
    dependencies: { environment: breaking },
    onEvent: (event) => {
      if (event.kind === 'step') steps++;
    },
  });
  const ended = lastOf(events, 'ended');
  assert.equal(ended.status, 'failed');
  assert.match(ended.reason, /tool/);
  const { checkpoint } = lastOf(events, 'checkpoint');
  assert.equal(checkpoint.step, 1);
  const begin = { kind: 'resume', folder: join(folder, 'run', checkpoint.folder), attempt: 1 } as const;
  assert.equal(lastOf(await runEvents(config, folder, { begin }), 'ended').status, 'finished');
});

test('a machine that slept has its rollouts repeated, with a notice', async (t) => {
  let now = 0;
  let asleep = false;
  const clock = () => {
    now += asleep ? 1e6 : 0.01;
    return now;
  };
  const events = await runEvents(tinyConfig({ steps: 1 }), temporaryFolder(t), {
    dependencies: { clock },
    onEvent: (event) => {
      // the sleep comes after the start's checkpoint and is over when the rollouts are taken again
      asleep = event.kind === 'checkpoint' && event.checkpoint.step === 0;
    },
  });
  assert.equal(events.filter((event) => event.kind === 'notice' && event.code === 'rollouts-repeated').length, 1);
  const step = lastOf(events, 'step');
  assert.ok(step.groups.every((group) => group.trajectories.every((one) => one.stopReason !== 'time-limit')));
});

test('a measurement that the clock cut short says so', async (t) => {
  let now = 0;
  let slow = false;
  const clock = () => {
    now += slow ? 1e6 : 0.01;
    return now;
  };
  const events = await runEvents(tinyConfig({ steps: 1 }), temporaryFolder(t), {
    dependencies: { clock },
    onEvent: (event) => {
      slow = event.kind === 'step';
    },
  });
  const notices = events.filter((event) => event.kind === 'notice' && event.code === 'ungraded');
  assert.equal(notices.length, 1);
  const [notice] = notices;
  assert.ok(
    notice.kind === 'notice' && /^12 of 12 problems .* ran out of time/.test(notice.message),
    JSON.stringify(notice),
  );
  const points = events.flatMap((event) => (event.kind === 'evaluated' && event.point.step === 1 ? [event] : []));
  assert.deepEqual([points[0].point.n, points[0].onFrontier], [0, false], 'a policy of which nothing is known');
  assert.equal(points[1].point.n, 8);
});

test('a training set smaller than a step comes round again with other trajectories', async (t) => {
  const folder = temporaryFolder(t);
  const store = openStore(folder, { mode: 'write' });
  t.after(() => store.close());
  const config = tinyConfig({ steps: 1, trainProblems: 2, problemsPerStep: 4 });
  const events = await runEvents(config, folder, { onEvent: (event) => store.append(event) });
  const { groups } = lastOf(events, 'step');
  const again = groups.filter((group) => group.problem.id === groups[0].problem.id);
  assert.equal(again.length, 2);
  const tokens = again.map((group) => group.trajectories.map((one) => one.tokens));
  assert.notDeepEqual(tokens[0], tokens[1]);
  assert.deepEqual(store.readStep('test', 1), groups);
});
