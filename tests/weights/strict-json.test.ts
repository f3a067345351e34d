import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseStrictJson } from '../../src-main/engine/weights/strict-json.ts';

describe('parseStrictJson', () => {
  test('reads what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        assert.equal(JSON.stringify(parseStrictJson(text)), JSON.stringify(JSON.parse(text)));
      }),
      { numRuns: 300 },
    );
  });

  test('refuses what JSON.parse refuses', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.nat(),
        fc.constantFrom('', '"', '\\', ',', '}', '0', '\n', 'e', '\u0001'),
        (value, at, extra) => {
          const text = JSON.stringify(value);
          const place = at % (text.length + 1);
          const changed = text.slice(0, place) + extra + text.slice(place + 1);
          let expected: unknown;
          try {
            expected = JSON.parse(changed);
          } catch {
            assert.throws(() => parseStrictJson(changed), SyntaxError, changed);
            return;
          }
          try {
            assert.equal(JSON.stringify(parseStrictJson(changed)), JSON.stringify(expected));
          } catch (error) {
            assert.match(String(error), /duplicate key/);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test('refuses duplicate keys, also when they are spelled differently', () => {
    assert.throws(() => parseStrictJson('{"a":1,"b":2,"a":3}'), /duplicate key "a"/);
    assert.throws(() => parseStrictJson('{"a":1,"\\u0061":3}'), /duplicate key "a"/);
    assert.throws(() => parseStrictJson('[{"x":{"y":1,"y":1}}]'), /duplicate key "y"/);
    assert.deepEqual(Object.keys(parseStrictJson('{"__proto__":1,"toString":2}') as object), ['__proto__', 'toString']);
  });

  test('bounds the depth', () => {
    assert.doesNotThrow(() => parseStrictJson('['.repeat(60) + ']'.repeat(60)));
    assert.throws(() => parseStrictJson('['.repeat(1e6)), /more than 64 levels/);
  });
});
