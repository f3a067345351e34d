import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  bfloatsToFloats,
  floatsToHalves,
  floatToHalf,
  halfToFloat,
  halvesToFloats,
} from '../../src-main/engine/base/half.ts';

describe('half', () => {
  test('widens the corners of the format exactly', () => {
    const corners: [number, number][] = [
      [0x0000, 0],
      [0x8000, -0],
      [0x0001, 2 ** -24],
      [0x83ff, -1023 * 2 ** -24],
      [0x0400, 2 ** -14],
      [0x3c00, 1],
      [0xc000, -2],
      [0x3555, 0.333251953125],
      [0x7bff, 65504],
      [0x7c00, Infinity],
      [0xfc00, -Infinity],
    ];
    for (const [bits, value] of corners)
      assert.ok(Object.is(halfToFloat(bits), value), `${bits}: ${halfToFloat(bits)}`);
    assert.ok(Number.isNaN(halfToFloat(0x7e01)));
  });

  test('every half survives the way to float32 and back', () => {
    const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
    const back = floatsToHalves(halvesToFloats(all));
    for (const bits of all) {
      const magnitude = bits & 0x7fff; // above 0x7c00: NaN, whose sign and payload carry nothing
      if (magnitude > 0x7c00) assert.ok((back[bits] & 0x7fff) > 0x7c00);
      else assert.equal(back[bits], bits);
    }
  });

  test('rounds to the nearest half, ties to even', () => {
    assert.equal(floatToHalf(1 + 2 ** -11), 0x3c00); // a tie: the even neighbour is below
    assert.equal(floatToHalf(1 + 3 * 2 ** -11), 0x3c02); // a tie: the even neighbour is above
    assert.equal(floatToHalf(Math.fround(1 + 2 ** -11 + 2 ** -20)), 0x3c01);
    assert.equal(floatToHalf(2 ** -25), 0); // half of the smallest subnormal
    assert.equal(floatToHalf(Math.fround(2 ** -25 * 1.0001)), 1);
    assert.equal(floatToHalf(65519.99), 0x7bff);
    assert.equal(floatToHalf(65520), 0x7c00);
    assert.equal(floatToHalf(-1e30), 0xfc00);
  });

  test('no other half is nearer than the chosen one', () => {
    const finite = fc.oneof(
      fc.float({ noNaN: true, min: -70_000, max: 70_000 }),
      fc.float({ noNaN: true, min: Math.fround(-0.001), max: Math.fround(0.001) }),
    );
    fc.assert(
      fc.property(finite, (value) => {
        const bits = floatToHalf(value);
        fc.pre((bits & 0x7fff) < 0x7c00 && (bits & 0x7fff) > 0);
        const distance = Math.abs(halfToFloat(bits) - value);
        for (const neighbour of [bits - 1, bits + 1]) {
          const other = Math.abs(halfToFloat(neighbour) - value);
          assert.ok(distance < other || (distance === other && bits % 2 === 0), `${value}`);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('widens bfloat16 bit for bit', () => {
    const floats = bfloatsToFloats(Uint16Array.of(0x3f80, 0xc040, 0x0001, 0x7f80, 0x8000));
    assert.deepEqual([...floats], [1, -3, 2 ** -133, Infinity, -0]);
  });
});
