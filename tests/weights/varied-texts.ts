/** Texts that tokenizers disagree on, from a seed: scripts, spaces of all kinds, digits, contractions, code, emoji, markup. */
import { randomStream } from '../../src-main/engine/base/random.ts';

// biome-ignore format: a list
const PIECES = [
  'the', 'Hello', 'WORLD', "don't", "I'LL", "we've", 'café', 'cafe\u0301', 'naïve', 'Straße', 'ſ', 'ß', 'Привет', 'мир', 'γειά', 'こんにちは',
  '世界', '你好', '한국어', 'العربية', 'עברית', 'हिन्दी', 'ไทย', '😀', '👩‍👩‍👧', '🏳️‍🌈', '∑', '≤', '½', '²', '①', '٣', '१२', 'Ⅷ', '1', '42', '12345678', '3.14',
  '1,000,000', '0x1F', '1e-5', 'def f(x):', 'return x**2', '{"a": [1, 2]}', '<tag>', '</tag>', 'a_b', 'camelCase', 'snake_case', 'http://x.org/?q=1',
  'a@b.c', '...', '!!!', '?!', '—', '“quote”', "'s", "'S", "''", '`', '~', '$5', '+', '==', '->', '#!', '/*', '\\n', '\t', '\t\t', '\n', '\n\n', '\r\n', '\r',
  ' ', '  ', '   ', '        ', '\u00a0', '\u2003', '\u3000', '\u200b', '\ufeff', '\u0085', '\u2028', '\u0000', '\u0007', '\ufffd', '\u{1f9d1}\u{1f3fd}',
  'Ａ', 'ﬁ', 'ǅ', 'ʰ', '\u0301', 'e\u0301\u0302', '\u{20000}', '\u{10ffff}', '<0x0A>', '▁', '▁▁', 'Ġ', 'Ċ', '<unk>', 'zzzzzzzzzzzz', 'aaaaaaaaaaaaaaaaaaaaaaaa', 'ababababab',
];

/** `count` texts of up to a dozen pieces, half of them with spaces between. */
export function variedTexts(count: number, seed: number): string[] {
  const random = randomStream(seed, 'varied texts');
  return Array.from({ length: count }, (_, i) =>
    Array.from({ length: random.int(1, 12) }, () => random.pick(PIECES)).join(i % 2 === 0 ? ' ' : ''),
  );
}
