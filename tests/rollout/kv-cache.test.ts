import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KvCache } from '../../src-main/engine/rollout/kv-cache.ts';

const shape = { layers: 2, kvHeads: 2, headDim: 3 };
const ROWS = 4;

type Act =
  | { kind: 'append'; row: number; from: number; padded: number; count: number }
  | { kind: 'move'; from: number; to: number };

const row = fc.integer({ min: 0, max: ROWS - 1 });
const act: fc.Arbitrary<Act> = fc.oneof(
  fc
    .record({
      row,
      from: row,
      padded: fc.integer({ min: 1, max: 40 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    .map(({ row, from, padded, share }) => {
      return { kind: 'append' as const, row, from, padded, count: Math.max(1, Math.round(padded * share)) };
    }),
  fc.record({ kind: fc.constant('move' as const), from: row, to: row }),
);

test('rows hold what was appended to them, through growth and moves', () => {
  const { layers, kvHeads, headDim } = shape;
  fc.assert(
    fc.property(fc.array(act, { minLength: 1, maxLength: 12 }), fc.integer({ min: 0, max: 8 }), (acts, usedRows) => {
      const cache = new KvCache(ROWS, shape, usedRows > 0 ? usedCache(usedRows) : undefined);
      assert.deepEqual([...cache.lengths], Array(ROWS).fill(0));
      // [row] numbers that stand for the tokens appended; layer, kind, head and dimension are added to each
      let expected: number[][] = Array.from({ length: ROWS }, () => []);
      let next = 1;
      for (const one of acts) {
        if (one.kind === 'move') {
          cache.move(one.from, one.to);
          expected = expected.map((tokens, i) => (i === one.to ? [...expected[one.from]] : tokens));
          continue;
        }
        const { row, from, padded, count } = one;
        const tokens = Array.from({ length: padded }, () => next++);
        cache.reserve(cache.lengths[row] + count);
        for (let layer = 0; layer < layers; layer++) {
          for (const kind of [0, 1] as const) {
            // a graph output [B, KV, S, E] in which only row `from` holds anything
            const fresh = new Float32Array(ROWS * kvHeads * padded * headDim).fill(-1);
            for (let head = 0; head < kvHeads; head++) {
              for (const [s, token] of tokens.entries()) {
                for (let e = 0; e < headDim; e++) {
                  fresh[((from * kvHeads + head) * padded + s) * headDim + e] = valueAt(token, layer, kind, head, e);
                }
              }
            }
            cache.write(layer, kind, row, fresh, from, padded, count);
          }
        }
        cache.lengths[row] += count;
        expected[row].push(...tokens.slice(0, count));
      }
      assert.deepEqual(
        [...cache.lengths],
        expected.map((tokens) => tokens.length),
      );
      for (let layer = 0; layer < layers; layer++) {
        for (const kind of [0, 1] as const) {
          const { data, shape: seen } = cache.view(layer, kind, ROWS);
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
    }),
    { numRuns: 80 },
  );
});

/** A cache of as many rows, all of them full: what the next one is made of. */
function usedCache(rows: number): KvCache {
  const used = new KvCache(rows, shape);
  used.reserve(40 * rows);
  for (let layer = 0; layer < shape.layers; layer++) {
    for (const kind of [0, 1] as const) (used.view(layer, kind, rows).data as Float32Array).fill(-7);
  }
  return used;
}

function valueAt(token: number, layer: number, kind: number, head: number, e: number): number {
  return token * 100 + layer * 50 + kind * 25 + head * 10 + e;
}
