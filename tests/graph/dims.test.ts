import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  broadcast,
  type Dim,
  factorOf,
  productOf,
  quotientOf,
  sumOf,
  symbolsOf,
} from '../../src-main/engine/graph/dims.ts';

const lengths: Record<string, number> = { A: 2, B: 3, C: 5 };

/** A dimension of products of A, B, C and numbers at these lengths. */
const lengthOf = (dim: Dim): number =>
  symbolsOf(dim).reduce((product, symbol) => product * lengths[symbol], factorOf(dim));
const dims: fc.Arbitrary<Dim> = fc
  .array(fc.oneof(fc.nat(4), fc.constantFrom('A', 'B', 'C')), { maxLength: 4 })
  .map(productOf);

describe('dimensions', () => {
  test('equal products are equal strings, whatever their order', () => {
    assert.equal(productOf(['B', 2, 'A']), '2*A*B');
    assert.equal(productOf(['A', productOf([2, 'B'])]), '2*A*B');
    assert.equal(productOf([]), 1);
    assert.equal(productOf(['A', 0]), 0);
  });

  test('a product has the product of the lengths, and a quotient undoes it', () => {
    fc.assert(
      fc.property(dims, dims, (a, b) => {
        const product = productOf([a, b]);
        assert.equal(lengthOf(product), lengthOf(a) * lengthOf(b));
        if (product !== 0) assert.equal(quotientOf(product, b), a);
      }),
    );
    assert.equal(quotientOf('A', 2), null);
    assert.equal(quotientOf('A*B', 'C'), null);
    assert.equal(quotientOf(0, 0), null);
  });

  test('a sum is a number, the one part that is not 0, or an opaque symbol', () => {
    assert.equal(sumOf([2, 3]), 5);
    assert.equal(sumOf([0, 'A', 0]), 'A');
    assert.equal(sumOf([]), 0);
    assert.equal(sumOf(['P', 'S']), 'P+S');
  });

  test('a sum stays one symbol in a product and is not taken apart', () => {
    const sum = sumOf(['2*B', 'A']);
    assert.equal(factorOf(sum), 1);
    assert.deepEqual(symbolsOf(sum), [sum]);
    assert.equal(quotientOf(sum, 2), null);
    assert.equal(quotientOf(productOf([sum, 'B']), 'B'), sum);
    assert.notEqual(sumOf([productOf([sumOf(['A', 'B']), 'C']), 'A']), sumOf(['A', productOf(['B', 'C']), 'A']));
  });

  test('shapes broadcast from the right, and a symbol fits itself and 1 only', () => {
    assert.deepEqual(broadcast(['B', 1, 4], [3, 1]), ['B', 3, 4]);
    assert.deepEqual(broadcast([1], [0]), [0]);
    assert.deepEqual(broadcast([], ['B']), ['B']);
    assert.equal(broadcast(['B'], ['A']), null);
    assert.equal(broadcast(['B'], [2]), null);
    assert.equal(broadcast([0], [2]), null);
  });
});
