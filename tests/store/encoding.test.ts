import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { exactJson } from '../../src-main/engine/base/exact-json.ts';
import {
  decodeFloats,
  decodeIntegers,
  decodeSegments,
  encodeFloats,
  encodeIntegers,
  encodeSegments,
} from '../../src-main/store/encoding.ts';
import { searchQuery } from '../../src-main/store/search-text.ts';

test('integers take seven bits a byte, low bits first, as the header says', () => {
  assert.deepEqual(
    [...encodeIntegers([0, 127, 128, 300, 0xffffffff])],
    [0, 0x7f, 0x80, 1, 0xac, 2, 0xff, 0xff, 0xff, 0xff, 0xf],
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffffffff }))), (values) => {
      assert.deepEqual(decodeIntegers(encodeIntegers(values)), values);
    }),
  );
});

test('an integer that cannot be stored is refused, and bytes that are none are not read as some', () => {
  for (const value of [-1, 1.5, 2 ** 32, Number.NaN]) assert.throws(() => encodeIntegers([value]), /unsigned 32-bit/);
  assert.throws(() => decodeIntegers(Uint8Array.of(1, 0x80)), /cut off/);
  assert.throws(() => decodeIntegers(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x1f)), /32 bits/);
  assert.throws(() => decodeIntegers(Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0)), /five bytes/);
  assert.throws(() => decodeSegments(Uint8Array.of(0, 1)), /cut off/);
  assert.throws(() => decodeSegments(Uint8Array.of(3, 0, 1)), /kind 3/);
  assert.throws(() => decodeFloats(Uint8Array.of()), /width/);
  assert.throws(() => decodeFloats(Uint8Array.of(4, 0, 0)), /cut off/);
  assert.deepEqual(decodeSegments(encodeSegments([{ kind: 'tool', start: 3, end: 9 }])), [
    { kind: 'tool', start: 3, end: 9 },
  ]);
});

test('numbers take four bytes where that loses nothing and eight where it would', () => {
  assert.equal(encodeFloats([0.5, -0, Number.NaN, Number.NEGATIVE_INFINITY]).length, 1 + 4 * 4);
  assert.equal(encodeFloats([0.5, 0.1]).length, 1 + 2 * 8);
  fc.assert(
    fc.property(fc.oneof(fc.array(fc.double()), fc.array(fc.float())), (values) => {
      assert.deepEqual(decodeFloats(encodeFloats(values)), values);
    }),
  );
});

test('JSON keeps the sign of zero and infinities, and refuses what it cannot hold at all', () => {
  const value = { a: -0, b: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e300], c: '\ud800' };
  assert.deepEqual(JSON.parse(exactJson(value)), value);
  assert.equal(exactJson([Number.NaN]), '[null]');
  assert.throws(() => exactJson(undefined), TypeError);
});

test('a search is its words, and nothing a user types is an operator', () => {
  const never = () => false;
  assert.equal(searchQuery('3+4 NOT "x', never), '"3"* AND "4"* AND "NOT"* AND "x"*');
  assert.equal(searchQuery(' +-*" ', never), null);
  assert.equal(
    searchQuery('naïve', (character) => character === 'ï'),
    '"na"* AND "ve"*',
  );
});
