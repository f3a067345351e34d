/**
 * Decoding several tokens in one run against one token a run, on the CPU: the same tokens and log-probabilities to the last
 * bit, and the same keys and values. Both caches have their full length from the start: where a number stands in a row decides
 * in which order ONNX Runtime adds it up.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { uniformAt } from '../../src-main/engine/base/random.ts';
import { DecodeEngine, type DecodeSettings, type Sampling } from '../../src-main/engine/rollout/decode-engine.ts';
import { continuation } from '../../src-main/engine/run/numerics-gate.ts';
import { closeComputing, openComputing } from '../../src-main/engine/run/run-provider.ts';
import type { RunConfigInput } from '../../src-main/contract/run-config.ts';
import { tinyConfig } from '../run/starter.ts';
import { KvCache } from '../../src-main/engine/rollout/kv-cache.ts';
import type { Policy } from '../../src-main/engine/runtime/policy.ts';
import { otherConfigs, smallPolicies } from '../webgpu/our-graphs.ts';

const MAX_TOKENS = 48;
const STOPS = [3, 17, 40, 58, 71];

/** One row's part: what it is fed, and how many tokens may be drawn; a row with `draws` 0 only waits. */
type Part = { queue: number[]; draws: number };
type Drawn = { tokens: number[]; logprobs: number[] };

const uniformOf = (row: number, drawnBefore: number) => uniformAt(7, 1, 0, row, 0, drawnBefore);

function engineOf(
  t: { after(action: () => Promise<void>): void },
  policy: Policy,
  changes: Partial<DecodeSettings> = {},
) {
  const engine = new DecodeEngine(policy, { threads: 1, maxTokens: MAX_TOKENS, ...changes });
  t.after(() => engine.dispose());
  return engine;
}

function fullCache(engine: DecodeEngine, rows: number): KvCache {
  const cache = KvCache.empty(rows, engine.policy.config);
  cache.reserve(MAX_TOKENS);
  return cache;
}

/** How many tokens a row is fed in its part, and what it drew: until a stop token, or all draws. */
function own(part: Part, drawn: (draw: number) => [token: number, logprob: number]): Drawn & { fed: number } {
  const result: Drawn = { tokens: [], logprobs: [] };
  for (let draw = 0; draw < part.draws; draw++) {
    const [token, logprob] = drawn(draw);
    result.tokens.push(token);
    result.logprobs.push(logprob);
    if (STOPS.includes(token)) break;
  }
  return { ...result, fed: part.queue.length + Math.max(0, result.tokens.length - 1) };
}

/** All rows stepped together, one token a run; a row that is done is fed a token that nobody keeps. */
async function plain(engine: DecodeEngine, cache: KvCache, parts: Part[], sampling: Sampling, before: number[]) {
  const results: Drawn[] = parts.map(() => ({ tokens: [], logprobs: [] }));
  const done = (row: number) =>
    results[row].tokens.length >= parts[row].draws || STOPS.includes(results[row].tokens.at(-1) ?? -1);
  const fed = parts.map(() => 0);
  const ends = (row: number) => fed[row] >= parts[row].queue.length && done(row);
  for (let turn = 0; !parts.every((_, row) => ends(row)); turn++) {
    const result = await engine.run(
      {
        tokens: parts.map(({ queue }, row) => (ends(row) ? [] : [queue[turn] ?? results[row].tokens.at(-1)!])),
        uniforms: parts.map((_, row) => [uniformOf(row, before[row] + results[row].tokens.length)]),
        sampling,
        temperature: 0.9,
      },
      cache,
    );
    for (const [row, part] of parts.entries()) {
      if (ends(row)) continue;
      fed[row]++;
      if (turn + 1 < part.queue.length || part.draws === 0) continue;
      results[row].tokens.push(result.tokens[row][0]);
      results[row].logprobs.push(result.logprobs[row][0]);
    }
  }
  return results;
}

/** The same in one run. */
async function inOneRun(engine: DecodeEngine, cache: KvCache, parts: Part[], sampling: Sampling, before: number[]) {
  const result = await engine.runChunk(
    {
      queues: parts.map(({ queue }) => queue),
      budgets: parts.map(({ queue, draws }) => queue.length + Math.max(0, draws - 1)),
      stops: parts.map((_, row) => (row % 2 === 0 ? STOPS : [...STOPS, 1000])),
      uniform: (row, turn) => uniformOf(row, before[row] + Math.max(0, turn + 1 - parts[row].queue.length)),
      sampling,
      temperature: 0.9,
    },
    cache,
  );
  const drawn = parts.map((part, row) => {
    const first = part.queue.length - 1;
    return own(part, (draw) => [result.tokens[row][first + draw], result.logprobs[row][first + draw]]);
  });
  result.keep(drawn.map(({ fed }) => fed));
  return drawn.map(({ tokens, logprobs }) => ({ tokens, logprobs }));
}

function assertSameCaches(a: KvCache, b: KvCache): void {
  assert.deepEqual(a.lengths, b.lengths);
  const { kvHeads, headDim } = a.shape;
  const [one, other] = [a, b].map((cache) => cache.feeds(cache.rows));
  for (const [name, { data }] of Object.entries(one)) {
    for (let block = 0; block < a.rows * kvHeads; block++) {
      const from = block * a.capacity * headDim;
      const to = from + a.lengths[Math.floor(block / kvHeads)] * headDim;
      assert.deepEqual(data.subarray(from, to), other[name].data.subarray(from, to), name);
    }
  }
}

const prompts = [[1, 2, 3, 4], [5, 6], [7], [8, 9, 10], [11, 12, 13, 14, 15, 16]];
/** What is put in before each chunk, as a tool's result is: nothing but the last token drawn, some tokens, a row that waits. */
const injected = [[], [21, 22, 23], [], [31], [41, 42, 43, 44, 45]];

const { full, lora } = smallPolicies();
const cases: [name: string, policy: Policy, settings: Partial<DecodeSettings>][] = [
  ['all weights', full, {}],
  ['an adapter on frozen weights', lora, { frozen: true }],
  ['a vocabulary drawn from by blocks', smallPolicies(8192).lora, {}],
  ...otherConfigs().map((config): (typeof cases)[number] => [
    `a ${config.family} with a window shorter than its rows`,
    smallPolicies(96, config).lora,
    {},
  ]),
];

describe('several tokens in one run are those of one token a run, bit for bit', () => {
  for (const [name, policy, settings] of cases) {
    for (const sampling of ['sampled', 'greedy'] as const) {
      for (const chunk of [1, 2, 5, 12]) {
        test(`${name}, ${sampling}, ${chunk} at once`, async (t) => {
          const engine = engineOf(t, policy, settings);
          const [one, many] = [fullCache(engine, prompts.length), fullCache(engine, prompts.length)];
          const before = prompts.map(() => 0);
          let queues = prompts;
          let drawn = 0;
          const lengths = new Set<number>();
          for (let round = 0; round < 3; round++) {
            // the last row waits in the second round: it is fed, and nothing is drawn from it
            const parts = queues.map((queue, row) => ({ queue, draws: round === 1 && row === 4 ? 0 : chunk }));
            const expected = await plain(engine, one, parts, sampling, before);
            assert.deepEqual(await inOneRun(engine, many, parts, sampling, before), expected);
            assertSameCaches(one, many);
            for (const [row, { tokens }] of expected.entries()) {
              before[row] += tokens.length;
              drawn += tokens.length;
              lengths.add(tokens.length);
            }
            const last = expected.map(({ tokens }, row) => tokens.at(-1) ?? parts[row].queue.at(-1)!);
            queues = injected.map((tokens, row) => [last[row], ...(round === 0 ? tokens : [])]);
          }
          assert.ok(drawn >= 3 * chunk, 'something was drawn');
          if (sampling === 'sampled' && chunk === 12 && policy.config.vocabSize < 100)
            assert.ok(lengths.size > 2, 'rows ended at different turns');
        });
      }
    }
  }
});

test('the loop ends with its last row', async (t) => {
  const engine = engineOf(t, full);
  const cache = fullCache(engine, 2);
  const all = Array.from({ length: 96 }, (_, token) => token);
  const result = await engine.runChunk(
    {
      queues: [[1, 2, 3], [4]],
      budgets: [20, 20],
      stops: [all, all],
      uniform: () => 0.5,
      sampling: 'sampled',
      temperature: 1,
    },
    cache,
  );
  assert.equal(result.tokens[0].length, 3);
});

test('the numerics gate reads the same greedy tokens from chunks as from runs of one token', async (t) => {
  const rows = prompts.map((tokens) => ({ tokens, trained: [], advantage: 0 }));
  const one = await continuation(engineOf(t, full), rows, MAX_TOKENS);
  assert.equal(one.length, 8 * rows.length);
  assert.deepEqual(await continuation(engineOf(t, full, { chunk: 3 }), rows, MAX_TOKENS), one);
});

test('decodeChunk is 16 on CUDA and 1 elsewhere unless told otherwise, and refused where there are no loops', async (t) => {
  const chunkOf = (changes: Partial<RunConfigInput>) => {
    const run = openComputing(tinyConfig(changes), full, 1);
    t.after(() => closeComputing(run));
    return run.engine.chunk;
  };
  assert.equal(chunkOf({}), 1);
  assert.equal(chunkOf({ provider: 'webgpu' }), 1);
  assert.equal(chunkOf({ provider: 'cuda' }), 16);
  assert.equal(chunkOf({ decodeChunk: 4 }), 4);
  assert.throws(() => chunkOf({ provider: 'webgpu', decodeChunk: 4 }), {
    code: 'config',
    message: /webgpu has no loops/,
  });
});
