/** Packing: every trained token of every row appears once, with its row's numbers, in whatever micro-batch. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { causalMask } from '../../src-main/engine/model/causal-mask.ts';
import { packBatch, type TrainRow, tokenWeights } from '../../src-main/engine/train/pack-batch.ts';

const row = fc
  .record({
    tokens: fc.array(fc.nat(99), { minLength: 2, maxLength: 12 }),
    seed: fc.nat(),
    advantage: fc.double({ min: -2, max: 2, noNaN: true }),
  })
  .map(({ tokens, seed, advantage }): TrainRow => {
    const trained = tokens.flatMap((_, t) => (t > 0 && (seed >> t) % 2 === 1 ? [t] : []));
    return {
      tokens,
      trained,
      advantage,
      oldLogprobs: trained.map((t) => -t),
      referenceLogprobs: trained.map((t) => -2 * t),
    };
  });

describe('packBatch', () => {
  test('carries every trained token once, with its own numbers', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 8 }), fc.integer({ min: 1, max: 60 }), (rows, budget) => {
        const weights = tokenWeights(rows, 'sequence-mean', 99);
        const batches = packBatch(rows, weights, budget);
        const seen = batches.flatMap(({ rowIndices }) => rowIndices);
        const wanted = rows.flatMap(({ trained }, i) => (trained.length > 0 ? [i] : []));
        assert.deepEqual(
          seen.toSorted((a, b) => a - b),
          wanted,
        );
        for (const { rowIndices, tokens, feeds } of batches) {
          const [B, T] = feeds.ids.shape;
          assert.equal(B, rowIndices.length);
          assert.ok(B * T <= budget || B === 1);
          assert.equal(T, Math.max(...rowIndices.map((i) => rows[i].tokens.length)));
          let k = 0;
          for (const [b, index] of rowIndices.entries()) {
            const { trained, tokens: ids, advantage } = rows[index];
            for (const t of trained) {
              assert.equal(feeds.rows.data[k], BigInt(b * T + t - 1));
              assert.equal(feeds.ids.data[b * T + t - 1], BigInt(ids[t - 1]));
              assert.equal(feeds.targets.data[k], BigInt(ids[t]));
              assert.equal(feeds.advantages.data[k], Math.fround(advantage));
              assert.equal(feeds.tokenWeights.data[k], Math.fround(weights[index]));
              assert.equal(feeds.oldLogprobs.data[k], -t);
              assert.equal(feeds.referenceLogprobs.data[k], -2 * t);
              assert.equal(feeds.sequenceOf.data[k], BigInt(b));
              assert.equal(feeds.sequenceShares.data[k], Math.fround(1 / trained.length));
              k++;
            }
          }
          assert.equal(k, tokens);
          assert.deepEqual(feeds.targets.shape, [k, 1]);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('hides the future and nothing else', () => {
    const mask = causalMask(3);
    assert.deepEqual(
      [...mask].map((x) => x === 0),
      [true, false, false, true, true, false, true, true, true],
    );
    assert.ok(mask[1] <= -1e8);
  });
});

describe('tokenWeights', () => {
  const rows = [1, 3, 0].map((length): TrainRow => ({ tokens: [], trained: new Array(length).fill(1), advantage: 1 }));

  test('weigh tokens, sequences or neither alike; a row without trained tokens still counts as one of the rows', () => {
    assert.deepEqual(tokenWeights(rows, 'batch-token', 10), [1 / 4, 1 / 4, 1 / 4]);
    assert.deepEqual(tokenWeights(rows, 'sequence-mean', 10), [1 / 3, 1 / 9, 1 / 3]);
    assert.deepEqual(tokenWeights(rows, 'constant', 10), [1 / 30, 1 / 30, 1 / 30]);
  });
});
