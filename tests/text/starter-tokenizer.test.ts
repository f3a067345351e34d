import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { STARTER_MARKUP, starterTokenizer } from '../../src-main/engine/text/starter-tokenizer.ts';
import { anyText, loadStarter, starterWords } from './models.ts';

const { tokenizer } = loadStarter();
const encode = (text: string) => tokenizer.encode(text, { special: false });
const pieces = (text: string) => encode(text).map((id) => tokenizer.decode([id], { skipSpecial: false }));

describe('the starter tokenizer', () => {
  test('gives back any text unchanged', () => {
    const words = fc.constantFrom(...starterWords.flatMap((word) => [word, ` ${word}`, `${word}s`]), ...STARTER_MARKUP);
    const text = fc.array(fc.oneof(words, anyText, fc.string({ unit: 'grapheme' })), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(text, (parts) => {
        const joined = parts.join('');
        const ids = encode(joined);
        assert.equal(tokenizer.decode(ids, { skipSpecial: false }), joined);
        assert.ok(ids.every((id) => !tokenizer.isSpecial(id)));
      }),
      { numRuns: 300 },
    );
  });

  test('makes every digit and operator a token', () => {
    assert.deepEqual(pieces('12*(3-45)/6=7.8,9+0?'), [...'12*(3-45)/6=7.8,9+0?']);
  });

  test('makes every word one token, with its space, and capitalised ones also without', () => {
    assert.deepEqual(pieces('What is the capital of Norland?'), [
      'What',
      ' is',
      ' the',
      ' capital',
      ' of',
      ' Norland',
      '?',
    ]);
    assert.deepEqual(pieces(' What there then'), [' What', ' there', ' the', 'n']);
    assert.deepEqual(pieces(' Città'), [' Città']);
    assert.deepEqual(pieces('is'), ['i', 's']);
  });

  test('has 256 bytes, 8 markup tokens and the words', () => {
    assert.equal(tokenizer.vocabSize, 256 + 8 + starterWords.length + 3);
    assert.deepEqual(
      STARTER_MARKUP.map((token) => tokenizer.idOf(token)),
      [256, 257, 258, 259, 260, 261, 262, 263],
    );
    assert.deepEqual(encode('\0A\u007f'), [0, 65, 127]);
  });

  test('gives the same files for the same words in any order', () => {
    assert.deepEqual(starterTokenizer([...starterWords].reverse()), starterTokenizer([...starterWords, 'of']));
    assert.throws(() => starterTokenizer(['two words']), /letters only/);
  });
});
