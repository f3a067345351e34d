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

/** Groups of samples: what a group's rows begin with is one prompt, and all prompts begin with the same tools. */
const grouped = fc
  .record({
    tools: fc.array(fc.nat(99), { minLength: 40, maxLength: 80 }),
    groups: fc.array(
      fc.record({
        prompt: fc.array(fc.nat(99), { minLength: 1, maxLength: 30 }),
        answers: fc.array(fc.array(fc.nat(99), { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 6 }),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ tools, groups }) =>
    groups.flatMap(({ prompt, answers }) =>
      answers.map((answer, a): TrainRow => {
        const start = tools.length + prompt.length;
        // what a tool says is not learned from
        const trained = answer.flatMap((_, t) => (t === 0 || (t + a) % 3 > 0 ? [start + t] : []));
        return { tokens: [...tools, ...prompt, ...answer], trained, advantage: a - 1 };
      }),
    ),
  );

describe('rows that begin alike', () => {
  test('are joined or not, but every target follows exactly the tokens of its row', () => {
    let most = 0;
    fc.assert(
      fc.property(grouped, fc.integer({ min: 130, max: 600 }), (rows, budget) => {
        const batches = packBatch(rows, tokenWeights(rows, 'batch-token', 99), budget, 576);
        const indices = batches.flatMap(({ rowIndices }) => rowIndices);
        assert.deepEqual(
          indices.toSorted((a, b) => a - b),
          rows.map((_, i) => i),
        );
        for (const { rowIndices, feeds } of batches) {
          const [B, T] = feeds.ids.shape;
          if (B < rowIndices.length) most = Math.max(most, rowIndices.length);
          assert.ok(B * T <= budget || rowIndices.length === 1);
          assert.equal(feeds.sequenceZeros.shape[0], rowIndices.length);
          let k = 0;
          for (const [b, index] of rowIndices.entries()) {
            const { tokens, trained } = rows[index];
            for (const t of trained) {
              const at = Number(feeds.rows.data[k]);
              const [first, place] = [at - (at % T), at % T];
              const mask = feeds.causal.data.slice(place * T, (place + 1) * T) as Float32Array;
              const seen = [...mask].flatMap((hidden, i) => (hidden === 0 ? [first + i] : []));
              assert.deepEqual(
                seen.map((i) => Number(feeds.ids.data[i])),
                tokens.slice(0, t),
              );
              assert.deepEqual(
                seen.map((i) => Number(feeds.positions.data[i])),
                tokens.slice(0, t).map((_, i) => i),
              );
              assert.equal(feeds.targets.data[k], BigInt(tokens[t]));
              assert.equal(feeds.sequenceOf.data[k], BigInt(b));
              k++;
            }
          }
        }
      }),
      { numRuns: 200 },
    );
    assert.ok(most >= 4, `at most ${most} rows were joined`);
  });

  test('cost a fraction of their tokens where the prompt is long, and are left alone where it is short', () => {
    const group = (prompt: number, answer: number) =>
      Array.from({ length: 8 }, (_, row): TrainRow => {
        const tokens = Array.from({ length: prompt + answer }, (_, t) => (t < prompt ? t : 100 * row + t));
        return { tokens, trained: tokens.slice(prompt).map((_, t) => prompt + t), advantage: 1 };
      });
    const sizes = (rows: TrainRow[], width = 576) =>
      packBatch(rows, tokenWeights(rows, 'batch-token', 99), 2048, width).map(({ feeds }) => feeds.ids.shape);
    assert.deepEqual(sizes(group(230, 60)), [[1, 230 + 8 * 60]]);
    assert.deepEqual(sizes(group(10, 50)), [[8, 60]]);
    assert.deepEqual(sizes(group(60, 20)), [[8, 80]]);
    assert.equal(sizes(group(80, 100))[0][0], 1);
    assert.deepEqual(sizes(group(80, 100), 96), [[8, 180]], 'attention weighs more in a narrow model');
    assert.ok(sizes(group(400, 200)).every(([, T]) => T <= 1024));
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
