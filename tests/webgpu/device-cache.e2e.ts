/**
 * Keys and values in the GPU's memory: whatever is fed, moved and taken over, draws are those of a cache in main memory; none
 * crosses over in a decode run; what is held is counted and let go.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { randomStream } from '../../src-main/engine/base/random.ts';
import type { Policy } from '../../src-main/engine/runtime/policy.ts';
import { collectTrajectories } from '../../src-main/engine/rollout/collect.ts';
import { DecodeEngine } from '../../src-main/engine/rollout/decode-engine.ts';
import { DeviceCache } from '../../src-main/engine/rollout/device-cache.ts';
import { deviceMemoryInUse, DeviceTensor } from '../../src-main/engine/runtime/device-tensor.ts';
import { Session } from '../../src-main/engine/runtime/session.ts';
import { openTasks, overUser, rolloutSettings, temporaryFolder } from '../run/starter.ts';
import { noDevice } from './device.ts';
import { otherConfigs, smallPolicies } from './our-graphs.ts';

const enginesOf = (policy: Policy, maxTokens = 160) =>
  (['cpu', 'webgpu'] as const).map((provider) => new DecodeEngine(policy, { threads: 1, maxTokens, provider }));

describe("a cache in the GPU's memory", { skip: noDevice }, () => {
  const cases: [string, Policy][] = [
    ['all weights', smallPolicies().full],
    ['an adapter', smallPolicies().lora],
    ...otherConfigs().map((config): [string, Policy] => [
      `a ${config.family} with a window`,
      smallPolicies(96, config).full,
    ]),
  ];
  for (const [name, policy] of cases) {
    test(`${name}: rows that grow, end, move and join draw what they draw on the CPU`, async () => {
      const engines = enginesOf(policy);
      const random = randomStream(3, name);
      const caches = engines.map((engine) => engine.newCache(6));
      let rows = 0;
      /** The same on both; what is drawn must agree. */
      const feed = async (tokens: number[][], fed = caches): Promise<void> => {
        const step = {
          tokens,
          uniforms: tokens.map(() => [random.next()]),
          sampling: 'sampled',
          temperature: 1,
        } as const;
        const [expected, found] = [await engines[0].run(step, fed[0]), await engines[1].run(step, fed[1])];
        for (const [row, { length }] of tokens.entries()) {
          if (length === 0) continue;
          assert.equal(found.tokens[row][0], expected.tokens[row][0], `row ${row}`);
          const difference = Math.abs(found.logprobs[row][0] - expected.logprobs[row][0]);
          assert.ok(difference < 1e-3, `row ${row}: ${difference}`);
        }
        assert.deepEqual([...fed[1].lengths.subarray(0, rows)], [...fed[0].lengths.subarray(0, rows)]);
      };
      const ragged = (count: number, least: number, most: number) =>
        Array.from({ length: count }, () => Array.from({ length: random.int(least, most) }, () => random.int(0, 95)));
      const join = async (placements: { row: number; from: number }[]): Promise<void> => {
        const prompts = engines.map((engine) => engine.newCache(2));
        await feed(ragged(2, 1, 9), prompts);
        for (const [i, engine] of engines.entries()) await engine.handOver(prompts[i], caches[i], placements);
        rows = placements.at(-1)!.row + 1;
      };
      await join([0, 1, 2, 3].map((row) => ({ row, from: row % 2 })));
      for (let round = 0; round < 4; round++) {
        await feed(ragged(rows, 0, 1));
        await feed(ragged(rows, 0, 14));
        for (const cache of caches) cache.move(rows - 1, round % rows);
        rows--;
        await feed(ragged(rows, 1, 1));
        if (rows < 4) await join([rows, rows + 1].map((row, from) => ({ row, from })));
      }
      for (const [i, engine] of engines.entries()) {
        engine.returnCache(caches[i]);
        await engine.dispose();
      }
      assert.deepEqual(deviceMemoryInUse(), { tensors: 0, bytes: 0 });
    });
  }

  test('a decode run takes and gives no keys and values over the bus, and what is held is what the rows need', async (t) => {
    const { full } = smallPolicies();
    const engine = enginesOf(full)[1];
    const run = t.mock.method(Session.prototype, 'run');
    const cache = engine.newCache(4);
    assert.ok(cache instanceof DeviceCache);
    const step = (tokens: number[][]) => ({ tokens, uniforms: tokens.map(() => [0.5]), sampling: 'greedy' as const });
    await engine.run({ ...step([[1, 2], [3], [4, 5, 6], [7]]), temperature: 1 }, cache);
    await engine.run({ ...step([[1], [2], [3], [4]]), temperature: 1 }, cache);
    const decoding = run.mock.calls.filter(({ arguments: [feeds] }) => 'ids' in feeds);
    assert.equal(decoding.length, 2);
    for (const call of decoding) {
      const [feeds, , into] = call.arguments;
      const layers = full.config.layers;
      const cached = Object.entries(feeds).filter(([name]) => name.startsWith('cache.'));
      assert.equal(cached.length, 2 * layers);
      for (const [name, tensor] of cached) {
        assert.ok(tensor instanceof DeviceTensor, name);
        assert.equal(into?.[name.replace('cache', 'kept')], tensor, 'written where it is read');
      }
      assert.deepEqual(Object.keys((await call.result)!).sort(), ['logprobs', 'tokens']);
    }
    const { layers, kvHeads, headDim } = full.config;
    const weights = 4 * full.base.flat.length;
    assert.equal(deviceMemoryInUse().bytes - weights, 4 * 2 * layers * 4 * kvHeads * 32 * headDim);
    engine.returnCache(cache);
    assert.equal(deviceMemoryInUse().bytes, weights);
    await engine.dispose();
    assert.equal(deviceMemoryInUse().tensors, 0);
  });

  test('trajectories with tools are those of the CPU', async (t) => {
    const environment = await openTasks(overUser, ['arithmetic'], temporaryFolder(t));
    t.after(() => environment.close());
    const requests = environment.problems('train', 5, 0).map((problem) => ({ problem, samples: 3 }));
    const results = [];
    for (const engine of enginesOf(overUser.newPolicy(null, 0))) {
      const { groups } = await collectTrajectories(
        requests,
        engine,
        environment.formatOf,
        environment.callTool,
        rolloutSettings({ batch: 9, sampling: 'greedy' }),
      );
      results.push(groups.map((group) => group.map(({ tokens, stopReason }) => ({ tokens, stopReason }))));
      await engine.dispose();
    }
    assert.deepEqual(results[1], results[0]);
    assert.equal(deviceMemoryInUse().tensors, 0);
  });
});
