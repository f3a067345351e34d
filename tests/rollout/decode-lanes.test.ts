/**
 * Rows decoded in lanes against the same rows on one thread: the same tokens, log-probabilities and cache within rounding, whatever
 * the rows are fed, also when the weights change in place and when the cache grows.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomStream, uniformAt } from '../../src-main/engine/base/random.ts';
import { DecodeEngine, type DecodeStep } from '../../src-main/engine/rollout/decode-engine.ts';
import { DecodeLanes } from '../../src-main/engine/rollout/decode-lanes.ts';
import { KvCache } from '../../src-main/engine/rollout/kv-cache.ts';
import { laneCount } from '../../src-main/engine/rollout/lane-limits.ts';
import { copyPolicy, type Policy, trainable } from '../../src-main/engine/runtime/policy.ts';
import { assertClose } from '../golden/model-fixture.ts';
import { smallPolicies } from '../webgpu/our-graphs.ts';

const ROWS = 53;
const MAX_TOKENS = 64;

function engineOf(t: { after(action: () => Promise<void>): void }, policy: Policy, threads: number): DecodeEngine {
  const engine = new DecodeEngine(policy, { threads, maxTokens: MAX_TOKENS });
  t.after(() => engine.dispose());
  return engine;
}

/** Tokens of made-up rows: `most` each at most, at least one. */
function stepOf(run: number, most: number, policy: Policy): DecodeStep {
  const random = randomStream(run, 'lanes');
  return {
    tokens: Array.from({ length: ROWS }, () =>
      Array.from({ length: random.int(1, most) }, () => random.int(2, policy.config.vocabSize - 1)),
    ),
    uniforms: Array.from({ length: ROWS }, (_, row) => [uniformAt(3, 1, run, row, 0, 0)]),
    sampling: 'sampled',
    temperature: 1,
  };
}

/** Runs that feed many tokens and one, the cache growing twice; weights change in between, in place. */
async function runs(engine: DecodeEngine, policy: Policy) {
  const cache = engine.newCache(ROWS + 3);
  const drawn: { tokens: number[][]; logprobs: number[][] }[] = [];
  for (const [run, most] of [9, 1, 1, 30, 1, 12, 1].entries()) {
    if (run === 2) for (const [i, value] of trainable(policy).flat.entries()) trainable(policy).flat[i] = 1.5 * value;
    drawn.push(await engine.run(stepOf(run, most, policy), cache));
  }
  assert.ok(cache instanceof KvCache);
  return { drawn, cache };
}

/** Keys and values of the valid slots. */
function validNumbers(cache: KvCache): number[] {
  const { kvHeads, headDim } = cache.shape;
  return Object.values(cache.feeds(ROWS)).flatMap(({ data }) =>
    Array.from({ length: ROWS * kvHeads }, (_, block) => {
      const start = block * cache.capacity * headDim;
      return [...(data as Float32Array).subarray(start, start + cache.lengths[Math.floor(block / kvHeads)] * headDim)];
    }).flat(),
  );
}

for (const kind of ['full', 'lora'] as const) {
  test(`three lanes draw and keep what one thread does: ${kind}`, async (t) => {
    const [one, other] = [smallPolicies()[kind], smallPolicies()[kind]];
    const [plain, lanes] = [engineOf(t, one, 1), engineOf(t, other, 3)];
    const [expected, found] = [await runs(plain, one), await runs(lanes, other)];
    assert.equal(expected.cache.place, null);
    assert.notEqual(found.cache.place, null, 'memory that no other thread can see has no lanes');
    for (const [run, { tokens, logprobs }] of expected.drawn.entries()) {
      assert.deepEqual(found.drawn[run].tokens, tokens);
      assertClose(found.drawn[run].logprobs.flat(), logprobs.flat(), 1e-5, `log-probabilities of run ${run}`);
    }
    assert.deepEqual([...found.cache.lengths], [...expected.cache.lengths]);
    assertClose(validNumbers(found.cache), validNumbers(expected.cache), 1e-5, 'keys and values');
  });
}

test('lanes are for small models on the CPU whose weights all threads can see, and for enough rows', () => {
  const { full, lora } = smallPolicies();
  const most = (policy: Policy, changes = {}) => DecodeLanes.most(policy, { threads: 4, maxTokens: 64, ...changes });
  assert.deepEqual([most(full), most(lora), most(full, { threads: 1 }), most(full, { threads: 64 })], [4, 4, 1, 8]);
  assert.equal(most(full, { provider: 'webgpu' }), 1);
  assert.equal(most(copyPolicy(full)), 1, 'a copy in memory of its own');
  assert.deepEqual(
    [1, 31, 32, 47, 48, 1000].map((rows) => laneCount(rows, 4)),
    [1, 1, 2, 2, 3, 4],
  );
});
