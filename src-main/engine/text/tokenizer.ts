/**
 * Text to token ids and back, on @huggingface/tokenizers. What it adds: untrusted text can never become a markup token.
 * It does not know chats or templates.
 *
 * Markup tokens are the added tokens that structure a conversation (`<|im_end|>`, `<tool_call>`): every special one, and
 * every other that is not a plain word. The library always turns their text into their id, so text that must stay text
 * is encoded by a second instance that does not know them; `guard` and `encodeGuarded` do the same for a part of a text.
 */
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';

export type Tokenizer = {
  /** one more than the largest id; a model's vocabulary may be larger */
  vocabSize: number;
  /** Ids of a text, without tokens around it. `special: false` reads markup in the text as plain text. */
  encode(text: string, options: { special: boolean }): number[];
  /** The text with its markup made harmless until `encodeGuarded` (`trusted`: markup stays, the text can be mixed with guarded text). */
  guard(text: string, trusted?: boolean): string;
  /** Ids of a text of which parts went through `guard`: only markup outside these parts becomes markup tokens. */
  encodeGuarded(text: string): number[];
  /** Text of ids, byte for byte; ids beyond the vocabulary are left out, cut UTF-8 gives U+FFFD. */
  decode(ids: readonly number[], options: { skipSpecial: boolean }): string;
  /** id of a token in the vocabulary's own spelling */
  idOf(token: string): number | null;
  tokenOf(id: number): string | null;
  isSpecial(id: number): boolean;
  /** text -> id of all special tokens */
  specials: ReadonlyMap<string, number>;
};

const MAX_ID = 4_194_304;

const tokenSchema = z.looseObject({
  id: z.int().min(0).max(MAX_ID),
  content: z.string().min(1),
  special: z.boolean().default(false),
  normalized: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
});
type AddedToken = z.infer<typeof tokenSchema>;

const tokenizerSchema = z.looseObject({
  added_tokens: z.array(tokenSchema).max(100_000).default([]),
  normalizer: z.unknown().default(null),
  pre_tokenizer: z.unknown().default(null),
  post_processor: z.unknown().default(null),
  decoder: z.unknown().default(null),
  model: z.looseObject({
    type: z.literal('BPE').default('BPE'),
    vocab: z.custom<Record<string, number>>(isVocabulary, 'not a record of token ids'),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});

/** By hand: a schema would take seconds for 150,000 entries. */
function isVocabulary(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((id) => Number.isInteger(id) && id >= 0 && id <= MAX_ID);
}

/** Private-use characters: ESCAPE ESCAPE is one ESCAPE of the text, ESCAPE BREAK is nothing but splits a markup token. */
const ESCAPE = '\ue5c7';
const BREAK = '\ue5c8';
const GUARDED = new RegExp(`${ESCAPE}([${ESCAPE}${BREAK}])`, 'g');

/** A tokenizer from parsed tokenizer.json and tokenizer_config.json. Throws `bad-file` or `unsupported` (other models than BPE). */
export function makeTokenizer(tokenizerJson: unknown, tokenizerConfig: unknown): Tokenizer {
  const modelType = (tokenizerJson as { model?: { type?: unknown } } | null)?.model?.type ?? 'BPE';
  if (modelType !== 'BPE') {
    throw new ParetuneError(
      'unsupported',
      `tokenizer.json: model.type is ${JSON.stringify(modelType)}; supported is "BPE".`,
    );
  }
  const parsed = tokenizerSchema.safeParse(tokenizerJson);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    throw badTokenizer(`${path.join('.')}: ${message}`);
  }
  const json = parsed.data;
  const library = build(json, tokenizerConfig);
  const added = json.added_tokens;
  const specials = new Map(added.filter(({ special }) => special).map(({ content, id }) => [content, id]));
  const specialIds = new Set(specials.values());
  const markup = added.filter(isMarkup);
  if (markup.some(({ content }) => content.includes(ESCAPE))) throw badTokenizer('an added token holds U+E5C7');
  const markupOf = new Map(markup.map((token) => [token.content, token]));
  const pattern = alternatives(markup);
  const markupStart = new RegExp(`(?=${pattern})[^]`, 'gu');
  const markupWhole = new RegExp(`(${pattern})`, 'u');
  // A normalizer may turn other text into markup, so its tokens cannot be found by looking at the text.
  const hidden = json.normalizer !== null && markup.some(({ normalized }) => normalized);

  let plainLibrary: Library | null = null;
  const encodePlain = (text: string): number[] => {
    if (!hidden && !markupWhole.test(text)) return idsOf(library, text);
    plainLibrary ??= build(withoutMarkup(json, markupOf), tokenizerConfig);
    return idsOf(plainLibrary, text);
  };

  const vocabulary = Object.values(json.model.vocab);
  const vocabSize = 1 + [...vocabulary, ...added.map(({ id }) => id)].reduce((a, b) => Math.max(a, b), -1);

  return {
    vocabSize,
    specials,
    encode: (text, { special }) => (special ? idsOf(library, text) : encodePlain(text)),
    guard(text, trusted = false) {
      const escaped = text.includes(ESCAPE) ? text.replaceAll(ESCAPE, ESCAPE + ESCAPE) : text;
      return trusted ? escaped : escaped.replace(markupStart, `$&${ESCAPE}${BREAK}`);
    },
    encodeGuarded(text) {
      if (!text.includes(ESCAPE)) return idsOf(library, text);
      // Splitting on a captured group puts markup at the odd places.
      const pieces = text.split(markupWhole);
      return pieces.flatMap((piece, i) => {
        if (i % 2 === 1) return [markupOf.get(piece)!.id];
        let plain = piece.replace(GUARDED, (_, mark) => (mark === ESCAPE ? ESCAPE : ''));
        if (markupOf.get(pieces[i - 1])?.rstrip) plain = plain.trimStart();
        if (markupOf.get(pieces[i + 1])?.lstrip) plain = plain.trimEnd();
        return encodePlain(plain);
      });
    },
    decode(ids, { skipSpecial }) {
      const known = ids.filter((id) => library.id_to_token(id) !== undefined);
      if (known.length === 0) return '';
      return library.decode(known, { skip_special_tokens: skipSpecial, clean_up_tokenization_spaces: false });
    },
    idOf: (token) => library.token_to_id(token) ?? null,
    tokenOf: (id) => library.id_to_token(id) ?? null,
    isSpecial: (id) => specialIds.has(id),
  };
}

/** Words and runs of spaces can be added tokens too; text made of these is nothing to protect. */
function isMarkup({ content, special }: AddedToken): boolean {
  return special || (/[^\p{L}\p{N}\s]/u.test(content) && [...content].length > 1);
}

/** A pattern for any of the tokens, the longest first; for none of them, one that never matches. */
function alternatives(tokens: AddedToken[]): string {
  if (tokens.length === 0) return '(?!)';
  const literal = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  return tokens
    .map(({ content }) => content)
    .sort((a, b) => b.length - a.length)
    .map(literal)
    .join('|');
}

type TokenizerJson = z.infer<typeof tokenizerSchema>;

function build(json: TokenizerJson, config: unknown): Library {
  try {
    const library = new Library(json, (config ?? {}) as object);
    library.encode('a b', { add_special_tokens: false }); // some faults show only in use
    return library;
  } catch (cause) {
    throw badTokenizer((cause as Error).message, cause);
  }
}

/** The same tokenizer without any way to make a markup token: not added, not in the vocabulary, not by a merge. */
function withoutMarkup(json: TokenizerJson, markup: ReadonlyMap<string, AddedToken>): TokenizerJson {
  const { vocab, merges } = json.model;
  return {
    ...json,
    added_tokens: json.added_tokens.filter(({ content }) => !markup.has(content)),
    model: {
      ...json.model,
      vocab: Object.fromEntries(Object.entries(vocab).filter(([token]) => !markup.has(token))),
      merges: merges.filter(
        (merge) => !markup.has(typeof merge === 'string' ? merge.replace(' ', '') : merge.join('')),
      ),
    },
  };
}

function idsOf(library: Library, text: string): number[] {
  if (text === '') return [];
  return library.encode(text, { add_special_tokens: false }).ids;
}

function badTokenizer(what: string, cause?: unknown): ParetuneError {
  return new ParetuneError('bad-file', `tokenizer.json cannot be used: ${what}.`, {
    hint: 'Download the tokenizer again, or take the one of the original model.',
    cause,
  });
}
