import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { collectTrajectories } from '../../src-main/engine/rollout/collect.ts';
import { DecodeEngine } from '../../src-main/engine/rollout/decode-engine.ts';
import { openAgent } from '../../src-main/engine/run/agent.ts';
import { trainable } from '../../src-main/engine/runtime/policy.ts';
import { openTasks, rolloutSettings, temporaryFolder } from './starter.ts';

const agent = openAgent('starter:under-user');

test('base weights kept inside the decoding session give the tokens of weights that are inputs, and see the adapter change', async (t) => {
  const environment = await openTasks(agent, ['arithmetic-calculator', 'multi-hop'], temporaryFolder(t));
  const policy = agent.newPolicy({ rank: 4, alpha: 8, targets: ['q_proj', 'v_proj', 'down_proj'] }, 0);
  const [frozen, open] = [true, false].map(
    (frozen) => new DecodeEngine(policy, { threads: 1, maxTokens: 160, frozen }),
  );
  after(async () => {
    await environment.close();
    await frozen.dispose();
    await open.dispose();
  });
  const requests = environment.problems('train', 8, 0).map((problem) => ({ problem, samples: 4 }));
  const roll = async (engine: DecodeEngine) => {
    const { groups } = await collectTrajectories(
      requests,
      engine,
      environment.formatOf,
      environment.callTool,
      rolloutSettings(),
    );
    return groups.flat();
  };
  const tokens = async (engine: DecodeEngine) => (await roll(engine)).map((one) => one.tokens);

  const fresh = await tokens(frozen);
  assert.deepEqual(fresh, await tokens(open));
  const random = randomStream(0, 'adapter');
  const { flat } = trainable(policy);
  for (let i = 0; i < flat.length; i++) flat[i] += 0.1 * random.normal();
  const changed = await roll(frozen);
  assert.notDeepEqual(
    changed.map((one) => one.tokens),
    fresh,
    'the session reads the adapter anew on every run',
  );
  const again = await roll(open);
  assert.deepEqual(
    changed.map((one) => one.tokens),
    again.map((one) => one.tokens),
  );
  for (const [i, one] of changed.entries()) {
    for (const [k, logprob] of one.sampledLogprobs.entries()) {
      assert.ok(Math.abs(logprob - again[i].sampledLogprobs[k]) < 1e-4);
    }
  }
});
