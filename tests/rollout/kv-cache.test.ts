import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newKey, newValue } from '../../src-main/engine/model/decode-graph.ts';
import { KvCache } from '../../src-main/engine/rollout/kv-cache.ts';
import type { Tensor } from '../../src-main/engine/runtime/session.ts';

const shape = { layers: 2, kvHeads: 2, headDim: 3 };
const ROWS = 4;

type Act =
  | { kind: 'append'; counts: number[]; padded: number }
  | { kind: 'move'; from: number; to: number }
  | { kind: 'take'; placements: { row: number; from: number }[]; counts: number[] };

const row = fc.integer({ min: 0, max: ROWS - 1 });
const counts = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: ROWS });
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ kind: fc.constant('append' as const), counts, padded: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constant('move' as const), from: row, to: row }),
  fc.record({
    kind: fc.constant('take' as const),
    placements: fc.array(fc.record({ row, from: row }), { minLength: 1, maxLength: ROWS }),
    counts: fc.array(fc.integer({ min: 0, max: 40 }), { minLength: ROWS, maxLength: ROWS }),
  }),
);

/** What a decode graph gives for these tokens: numbers that stand for a token, its layer, kind, head and dimension. */
function outputsOf(tokens: readonly (readonly number[])[], slots: number): Record<string, Tensor> {
  const { layers, kvHeads, headDim } = shape;
  const outputs: Record<string, Tensor> = {};
  for (let layer = 0; layer < layers; layer++) {
    for (const [kind, name] of [newKey(layer), newValue(layer)].entries()) {
      const data = new Float32Array(tokens.length * kvHeads * slots * headDim).fill(-1);
      for (const [b, own] of tokens.entries())
        for (let head = 0; head < kvHeads; head++)
          for (const [s, token] of own.entries())
            for (let e = 0; e < headDim; e++)
              data[((b * kvHeads + head) * slots + s) * headDim + e] = valueAt(token, layer, kind, head, e);
      outputs[name] = { dtype: 'float32', shape: [tokens.length, kvHeads, slots, headDim], data };
    }
  }
  return outputs;
}

function assertHolds(cache: KvCache, expected: readonly (readonly number[])[]): void {
  const { layers, kvHeads, headDim } = shape;
  assert.deepEqual(
    [...cache.lengths],
    expected.map((tokens) => tokens.length),
  );
  const feeds = cache.feeds(ROWS);
  for (let layer = 0; layer < layers; layer++) {
    for (const [kind, name] of ['key', 'value'].entries()) {
      const { data, shape: seen } = feeds[`cache.${layer}.${name}`];
      assert.deepEqual(seen, [ROWS, kvHeads, cache.capacity, headDim]);
      for (const [b, tokens] of expected.entries()) {
        for (let head = 0; head < kvHeads; head++) {
          for (const [t, token] of tokens.entries()) {
            const at = ((b * kvHeads + head) * cache.capacity + t) * headDim;
            assert.equal(data[at + headDim - 1], valueAt(token, layer, kind, head, headDim - 1));
          }
        }
      }
    }
  }
}

test('rows hold what was appended to them and taken from others, through growth and moves', () => {
  fc.assert(
    fc.property(fc.array(act, { minLength: 1, maxLength: 12 }), fc.integer({ min: 0, max: 8 }), (acts, usedRows) => {
      const cache = KvCache.empty(ROWS, shape, { used: usedRows > 0 ? usedCache(usedRows) : undefined });
      assertHolds(cache, Array(ROWS).fill([]));
      let expected: number[][] = Array.from({ length: ROWS }, () => []);
      let next = 1;
      const fresh = (lengths: readonly number[]) => lengths.map((length) => Array.from({ length }, () => next++));
      for (const one of acts) {
        if (one.kind === 'move') {
          cache.move(one.from, one.to);
          expected = expected.map((tokens, i) => (i === one.to ? [...expected[one.from]] : tokens));
        } else if (one.kind === 'append') {
          const tokens = fresh(one.counts);
          cache.append(outputsOf(tokens, Math.max(...one.counts) + one.padded), one.counts);
          expected = expected.map((before, i) => [...before, ...(tokens[i] ?? [])]);
        } else {
          const other = KvCache.empty(ROWS, shape);
          const tokens = fresh(one.counts);
          other.append(outputsOf(tokens, Math.max(1, ...one.counts)), one.counts);
          cache.take(other, one.placements);
          for (const { row, from } of one.placements) expected[row] = [...tokens[from]];
          assertHolds(other, tokens);
        }
      }
      assertHolds(cache, expected);
    }),
    { numRuns: 80 },
  );
});

/** A cache of as many rows, all of them full: what the next one is made of. */
function usedCache(rows: number): KvCache {
  const used = KvCache.empty(rows, shape);
  used.reserve(40 * rows);
  for (const { data } of Object.values(used.feeds(rows))) (data as Float32Array).fill(-7);
  return used;
}

function valueAt(token: number, layer: number, kind: number, head: number, e: number): number {
  return token * 100 + layer * 50 + kind * 25 + head * 10 + e;
}
