/** Packing: every trained token of every row appears once, with its row's numbers, in whatever micro-batch. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { causalMask } from '../../src-main/engine/model/causal-mask.ts';
import type { Tensor } from '../../src-main/engine/runtime/session.ts';
import { type MicroBatch, packBatch, type TrainRow, tokenWeights } from '../../src-main/engine/train/pack-batch.ts';

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

/** The tokens and positions that token `at` of a micro-batch sees, itself included, by its masks. */
function seenBy({ branches, feeds }: MicroBatch, at: number): { tokens: number[]; positions: number[] } {
  const visible = (mask: Tensor, row: number) => {
    const T = mask.shape[0];
    return [...(mask.data.slice(row * T, (row + 1) * T) as Float32Array)].flatMap((hidden, i) =>
      hidden === 0 ? [i] : [],
    );
  };
  const read = (ids: string, positions: string, places: number[]) => ({
    tokens: places.map((i) => Number(feeds[ids].data[i])),
    positions: places.map((i) => Number(feeds[positions].data[i])),
  });
  if (!branches) {
    const T = feeds.ids.shape[1];
    return read(
      'ids',
      'positions',
      visible(feeds.causal, at % T).map((i) => at - (at % T) + i),
    );
  }
  const [[Q, P], [, S, C]] = [feeds.prefixIds.shape, feeds.ids.shape];
  const beginning = (q: number, slots: number[]) =>
    read(
      'prefixIds',
      'prefixPositions',
      slots.map((i) => q * P + i),
    );
  if (at < Q * P) return beginning(Math.floor(at / P), visible(feeds.prefixCausal, at % P));
  const place = at - Q * P;
  const q = Math.floor(place / (S * C));
  const before = beginning(
    q,
    [...(feeds.slots.data as Float32Array)].filter((slot) => slot < Number(feeds.prefixLengths.data[q])),
  );
  const own = read(
    'ids',
    'positions',
    visible(feeds.causal, place % C).map((i) => place - (place % C) + i),
  );
  return { tokens: [...before.tokens, ...own.tokens], positions: [...before.positions, ...own.positions] };
}

const sizeOf = ({ feeds }: MicroBatch) => feeds.ids.data.length + (feeds.prefixIds?.data.length ?? 0);

describe('rows that begin alike', () => {
  test('are of one family or not, but every target follows exactly the tokens of its row', () => {
    let [most, several] = [0, 0];
    fc.assert(
      fc.property(grouped, fc.integer({ min: 130, max: 900 }), (rows, budget) => {
        const batches = packBatch(rows, tokenWeights(rows, 'batch-token', 99), budget, 576);
        const indices = batches.flatMap(({ rowIndices }) => rowIndices);
        assert.deepEqual(
          indices.toSorted((a, b) => a - b),
          rows.map((_, i) => i),
        );
        for (const batch of batches) {
          const { rowIndices, branches, feeds } = batch;
          if (branches) {
            most = Math.max(most, feeds.ids.shape[1]);
            several = Math.max(several, feeds.ids.shape[0]);
          }
          assert.ok(sizeOf(batch) <= budget || rowIndices.length === 1);
          assert.equal(feeds.sequenceZeros.shape[0], rowIndices.length);
          let k = 0;
          for (const [b, index] of rowIndices.entries()) {
            const { tokens, trained } = rows[index];
            for (const t of trained) {
              const seen = seenBy(batch, Number(feeds.rows.data[k]));
              assert.deepEqual(seen.tokens, tokens.slice(0, t));
              assert.deepEqual(
                seen.positions,
                seen.tokens.map((_, i) => i),
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
    assert.ok(most >= 4 && several >= 2, `at most ${most} rows were of one family, ${several} families side by side`);
  });

  test('cost a fraction of their tokens where that pays, and are left alone where it does not', () => {
    const group = (prompt: number, answer: number, start = 0) =>
      Array.from({ length: 8 }, (_, row): TrainRow => {
        const tokens = Array.from({ length: prompt + answer }, (_, t) => (t < prompt ? start + t : 100 * row + t));
        return { tokens, trained: tokens.slice(prompt).map((_, t) => prompt + t), advantage: 1 };
      });
    const sizes = (rows: TrainRow[], width = 576) =>
      packBatch(rows, tokenWeights(rows, 'batch-token', 99), 2048, width).map(({ feeds }) => [
        ...(feeds.prefixIds ? feeds.prefixIds.shape : []),
        ...feeds.ids.shape,
      ]);
    assert.deepEqual(sizes(group(230, 60)), [[1, 230, 1, 8, 60]]);
    assert.deepEqual(sizes(group(32, 64)), [[1, 32, 1, 8, 64]]);
    assert.deepEqual(sizes([...group(32, 64), ...group(40, 50, 7)]), [[2, 40, 2, 8, 64]], 'two in one micro-batch');
    assert.deepEqual(sizes(group(10, 50)), [[8, 60]], 'too short a beginning');
    assert.deepEqual(sizes(group(20, 180)), [[8, 200]], 'too long own parts');
    assert.deepEqual(sizes(group(900, 200)), [
      [1, 900, 1, 5, 200],
      [1, 900, 1, 3, 200],
    ]);
    // one family of short answers and one of long ones are not padded to one another
    assert.equal(sizes([...group(100, 8), ...group(100, 90, 7)]).length, 2);
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
