/**
 * The pre-tokenizers that GGUF files name: how a text is cut before byte-level BPE, as expressions of which each cuts the
 * pieces of the one before, matches and what lies between them. Data only.
 *
 * Source: llama.cpp's llama-vocab (names, which share an expression, which take whole words and begin with BOS), in the
 * spelling of the models' own tokenizer.json where that is known, so that other readers find what they know.
 */

export type PreTokenizer = {
  patterns: string[];
  /** a word that is in the vocabulary is taken as it is, whatever the merges */
  wholeWords: boolean;
  addBos: boolean;
  /** text is brought to Unicode's form NFC first */
  composed: boolean;
};

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const DIGIT = '\\p{N}';
/** Contractions of any case, words with one character before them, up to so many digits, signs with the lines they end. */
const words = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const UPPER = '\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}';
const LOWER = '\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}';
const TEKKEN = `[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]*[${LOWER}]+|[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]+[${LOWER}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
const O200K = `[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]*[${LOWER}]+${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]+[${LOWER}]*${CONTRACTIONS}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const plain = (...patterns: string[]): PreTokenizer => ({
  patterns,
  wholeWords: false,
  addBos: false,
  composed: false,
});
const gpt2 = plain(GPT2);
const digits = plain(DIGIT, GPT2);
const llama3: PreTokenizer = { ...plain(words('\\p{N}{1,3}')), wholeWords: true, addBos: true };
const qwen = plain(words('\\p{N}'));

export const preTokenizers: Record<string, PreTokenizer> = {
  default: plain('[\\p{P}\\$\\+<=>\\^~\\|]+', GPT2, '\\p{N}+', '[0-9][0-9][0-9]'),
  'gpt-2': gpt2,
  'phi-2': gpt2,
  mpt: gpt2,
  olmo: gpt2,
  'a.x-4.0': gpt2,
  mellum: gpt2,
  trillion: gpt2,
  smollm: digits,
  starcoder: digits,
  refact: digits,
  codeshell: digits,
  'minerva-7b': digits,
  llama3,
  'llama-v3': llama3,
  'llama-bpe': llama3,
  falcon3: llama3,
  dbrx: plain(words('\\p{N}{1,3}')),
  'smaug-bpe': plain(words('\\p{N}{1,3}')),
  qwen2: { ...qwen, composed: true },
  'deepseek-r1-qwen': qwen,
  megrez: qwen,
  stablelm2: qwen,
  // of Phi-4-mini too
  'gpt-4o': plain(O200K),
  tekken: { ...plain(TEKKEN), wholeWords: true, addBos: true },
};

export const preTokenizerNames = Object.keys(preTokenizers);
