/** What decides a token: the weights, the tokens before it and its own draw; not the cache, the batch, the group or a tool's haste. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { Problem, Trajectory } from '../../src-main/contract/records.ts';
import { hash32, randomStream, uniformAt } from '../../src-main/engine/base/random.ts';
import { collectTrajectories, type RolloutSettings } from '../../src-main/engine/rollout/collect.ts';
import { DecodeEngine } from '../../src-main/engine/rollout/decode-engine.ts';
import { openAgent } from '../../src-main/engine/run/agent.ts';
import { openTasks, rolloutSettings } from '../run/starter.ts';

// the calculator and the search answer in no time, unlike Python: many rollouts in a quick test
const agent = openAgent('starter:under-user');
const folder = mkdtempSync(join(tmpdir(), 'paretune-sampling-'));
const environment = await openTasks(agent, ['arithmetic-calculator', 'multi-hop'], folder);
const engine = new DecodeEngine(agent.newPolicy(null, 0), { threads: 1, maxTokens: 160 });
after(async () => {
  await engine.dispose();
  await environment.close();
  rmSync(folder, { recursive: true });
});

type Request = Parameters<typeof collectTrajectories>[0][number];

async function roll(
  requests: Request[],
  changes: Partial<RolloutSettings> = {},
  callTool = environment.callTool,
): Promise<Trajectory[]> {
  const settings = rolloutSettings(changes);
  return (await collectTrajectories(requests, engine, environment.formatOf, callTool, settings)).groups.flat();
}

const problems = environment.problems('train', 8, 0);
const groupsOf = (samples: number, some: Problem[] = problems) => some.map((problem) => ({ problem, samples }));
const said = (all: Trajectory[]) => all.map(({ tokens, stopReason, answer }) => ({ tokens, stopReason, answer }));

test('every token is the one that its draw picks after the tokens before it, run anew without a cache', async () => {
  const all = await roll(groupsOf(3), { seed: 5, step: 2 });
  assert.ok(all.filter((one) => one.toolCalls.length > 1).length > 3, 'several trajectories have several turns');
  const expected = all.flatMap((one) => {
    const places = one.segments
      .filter(({ kind }) => kind === 'model')
      .flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i));
    return places.map((place, k) => ({ one, place, logprob: one.sampledLogprobs[k] }));
  });
  for (let first = 0; first < expected.length; first += 64) {
    const part = expected.slice(first, first + 64);
    const { tokens, logprobs } = await engine.run(
      {
        tokens: part.map(({ one, place }) => one.tokens.slice(0, place)),
        uniforms: part.map(({ one, place }) => [
          uniformAt(5, hash32('rollout'), 2, hash32(one.problemId), one.sample, place),
        ]),
        sampling: 'sampled',
        temperature: 1,
      },
      engine.newCache(part.length),
    );
    for (const [i, { one, place, logprob }] of part.entries()) {
      assert.equal(tokens[i][0], one.tokens[place]);
      assert.ok(Math.abs(logprobs[i][0] - logprob) < 1e-4, `${logprobs[i][0]} is not ${logprob}`);
    }
  }
});

test('a group gives what its samples give alone, one request each', async () => {
  const group = await roll(groupsOf(4));
  const single = problems.flatMap((problem) =>
    [0, 1, 2, 3].map((firstSample) => ({ problem, samples: 1, firstSample })),
  );
  assert.deepEqual(said(await roll(single)), said(group));
  assert.ok(new Set(group.slice(0, 4).map((one) => one.tokens.join())).size > 1, 'samples differ');
});

test('the same seed and step give the same trajectories to the last bit; another seed or step gives others', async () => {
  const untimed = (all: Trajectory[]) =>
    all.map((one) => ({ ...one, toolCalls: one.toolCalls.map((call) => ({ ...call, milliseconds: 0 })) }));
  const first = await roll(groupsOf(4));
  assert.deepEqual(untimed(await roll(groupsOf(4))), untimed(first));
  for (const other of [{ seed: 1 }, { step: 1 }]) {
    assert.notDeepEqual(said(await roll(groupsOf(4), other)), said(first));
  }
});

test('tools that answer late, and in any order, change no token and no log-probability', async () => {
  const first = await roll(groupsOf(4));
  const numbers = (all: Trajectory[]) => all.map((one) => [one.tokens, one.sampledLogprobs]);
  for (const seed of [1, 2, 3]) {
    const random = randomStream(seed, 'delays');
    const delayed: typeof environment.callTool = async (...call) => {
      await new Promise((resolve) => setTimeout(resolve, random.int(0, 30)));
      return environment.callTool(...call);
    };
    assert.deepEqual(numbers(await roll(groupsOf(4), {}, delayed)), numbers(first));
  }
  // the call that was made first is answered last
  let made = 0;
  const reversed: typeof environment.callTool = async (...call) => {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, 30 - made++)));
    return environment.callTool(...call);
  };
  assert.deepEqual(numbers(await roll(groupsOf(4), {}, reversed)), numbers(first));
});

test('a tool that throws before it answers at all is broken like one that rejects', async () => {
  const all = await roll(groupsOf(2), {}, () => {
    throw new Error('gone');
  });
  const calling = all.filter((one) => one.toolCalls.length > 0);
  assert.ok(calling.length > 0);
  for (const one of calling) assert.equal(one.stopReason, 'tool-broken');
});

test('a prompt that does not fit ends at once and leaves the others as they are', async () => {
  const [first, ...others] = problems;
  const long = { ...first, messages: [{ role: 'user' as const, content: 'why '.repeat(200) }] };
  const mixed = await roll([...groupsOf(2, [long]), ...groupsOf(2, others)]);
  for (const one of mixed.slice(0, 2)) {
    assert.equal(one.stopReason, 'token-limit');
    assert.deepEqual(one.sampledLogprobs, []);
    assert.deepEqual(one.segments, [{ kind: 'prompt', start: 0, end: one.tokens.length }]);
  }
  assert.deepEqual(said(mixed.slice(2)), said(await roll(groupsOf(2, others))));
  assert.equal((await roll(groupsOf(2, [long]))).length, 2, 'also where there is nothing else to do');
});

test('whatever the limits, a record is whole and within them', async () => {
  const limits = fc.record({
    calls: fc.integer({ min: 0, max: 3 }),
    tokens: fc.integer({ min: 8, max: 120 }),
    turns: fc.integer({ min: 1, max: 4 }),
    seconds: fc.constantFrom(120, 0.1),
    resultTokens: fc.integer({ min: 1, max: 20 }),
  });
  const reached = new Set<string>();
  const property = fc.asyncProperty(
    limits,
    fc.integer({ min: 1, max: 30 }),
    fc.integer({ min: 1, max: 5 }),
    fc.constantFrom('sampled' as const, 'greedy' as const),
    fc.integer({ min: 0, max: 99 }),
    async (limits, batch, samples, sampling, seed) => {
      let now = 0;
      // a look at the clock takes 2 ms: some trajectories run out of a tenth of a second
      const clock = () => (now += 2);
      const all = await roll(groupsOf(samples), { limits, batch, sampling, seed, clock });
      assert.deepEqual(
        all.map((one) => [one.problemId, one.sample]),
        problems.flatMap(({ id }) => Array.from({ length: samples }, (_, sample) => [id, sample])),
      );
      for (const one of all) {
        reached.add(one.stopReason);
        checkRecord(one, limits);
      }
    },
  );
  await fc.assert(property, { numRuns: 25, seed: 4 });
  for (const reason of ['answer', 'call-limit', 'turn-limit', 'token-limit', 'time-limit']) {
    assert.ok(reached.has(reason), `no trajectory ended by ${reason}`);
  }
});

function checkRecord(one: Trajectory, limits: RolloutSettings['limits']): void {
  const { segments, tokens, toolCalls } = one;
  assert.deepEqual(
    segments.map(({ start }) => start),
    [0, ...segments.slice(0, -1).map(({ end }) => end)],
    'segments follow each other without a gap',
  );
  assert.equal(segments.at(-1)!.end, tokens.length);
  for (const [i, { kind }] of segments.entries()) {
    assert.equal(kind, i === 0 ? 'prompt' : i % 2 === 1 ? 'model' : 'tool', 'model and tool take turns');
  }
  const lengths = segments.flatMap(({ kind, start, end }) => (kind === 'model' ? [end - start] : []));
  assert.equal(
    one.sampledLogprobs.length,
    lengths.reduce((sum, length) => sum + length, 0),
  );
  assert.ok(lengths.every((length) => length > 0));
  assert.ok(one.sampledLogprobs.every((logprob) => logprob <= 1e-6 && Number.isFinite(logprob)));
  assert.ok(tokens.length <= limits.tokens || lengths.length === 0, 'too many tokens');
  assert.ok(lengths.length <= limits.turns && toolCalls.length <= limits.calls);
  const answered = segments.filter(({ kind }) => kind === 'tool').map(({ start }) => start);
  assert.deepEqual(
    toolCalls.map((call) => call.resultStart).filter((start) => start >= 0),
    answered,
    'a result segment for each answered call',
  );
  if (one.stopReason !== 'answer') assert.equal(one.answer, '');
}
