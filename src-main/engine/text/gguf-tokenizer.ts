/**
 * A tokenizer.json, a tokenizer_config.json and a chat template from the metadata of a GGUF file: byte-level BPE with
 * llama.cpp's pre-tokenizers by name, and SentencePiece vocabularies with scores and bytes to fall back on. It makes files
 * for every reader of Hugging Face's format (ours is tokenizer.ts) and encodes nothing itself. What is not known is refused
 * by name: a tokenizer that is nearly right would train a model on other tokens than it was made for.
 *
 * Source: llama.cpp's llama-vocab (which names stand for which expressions and flags, token types, what SentencePiece's
 * merges are). Departures: 1. Qwen's tokenizers bring text to Unicode's form NFC first, as the original ones do; llama.cpp
 * does not. 2. Of two overlapping added tokens the one that starts first is taken; llama.cpp takes the longer one. 3. Phi-3's
 * markup swallows white space whatever the file is called; llama.cpp goes by its name.
 */
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import type { Json } from '../../contract/records.ts';
import { type PreTokenizer, preTokenizerNames, preTokenizers } from './gguf-pre-tokenizers.ts';
import { scoredMerges } from './scored-merges.ts';

export type GgufTokenizer = {
  tokenizerJson: { [key: string]: Json };
  tokenizerConfig: { [key: string]: Json };
  chatTemplate: string | null;
};

const MAX_TOKENS = 4_194_304;
const MAX_TOKEN_LENGTH = 65_536;
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const ADDED = 4;
const BYTE = 6;

const tokenId = z.int().min(0).max(4_294_967_295).optional();
const flag = z.boolean().optional();
const listOfInts = z.custom<Int32Array>((value) => value instanceof Int32Array, 'no array of 32-bit integers');
const fields = {
  model: z.string(),
  pre: z.string().optional(),
  tokens: z.array(z.string().max(MAX_TOKEN_LENGTH)).min(1).max(MAX_TOKENS),
  token_type: listOfInts.optional(),
  scores: z.custom<Float32Array>((value) => value instanceof Float32Array, 'no array of floats').optional(),
  merges: z.array(z.string()).optional(),
  bos_token_id: tokenId,
  eos_token_id: tokenId,
  unknown_token_id: tokenId,
  padding_token_id: tokenId,
  add_bos_token: flag,
  add_eos_token: flag,
  add_space_prefix: flag,
};
const schema = z.object(fields);
type Fields = z.infer<typeof schema>;

/**
 * The tokenizer of a GGUF file by its metadata, null where it has none. `where` names the file in messages. Throws
 * `bad-file` or `unsupported`.
 */
export function ggufTokenizer(metadata: ReadonlyMap<string, unknown>, where: string): GgufTokenizer | null {
  if (['none', 'no_vocab', undefined].includes(metadata.get('tokenizer.ggml.model') as string)) return null;
  const read = (name: string) => metadata.get(`tokenizer.ggml.${name}`);
  const parsed = schema.safeParse(Object.fromEntries(Object.keys(fields).map((name) => [name, read(name)])));
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    throw badTokenizer(where, `tokenizer.ggml.${path.join('.')}: ${message}`);
  }
  const raw = parsed.data;
  // a token without text cannot be written; llama.cpp calls it the same
  const tokens = raw.tokens.map((text, id) => (text === '' ? `[EMPTY_${id}]` : text));
  const types = raw.token_type ?? new Int32Array(tokens.length).fill(NORMAL);
  if (types.length !== tokens.length) {
    throw badTokenizer(where, `tokenizer.ggml.token_type has ${types.length} entries for ${tokens.length} tokens`);
  }
  const ids = new Map(tokens.map((text, id) => [text, id]));
  if (ids.size !== tokens.length) {
    const twice = tokens.find((text, id) => ids.get(text) !== id);
    throw badTokenizer(where, `the token ${JSON.stringify(twice?.slice(0, 80))} is there twice`);
  }
  const vocabulary: Vocabulary = { where, raw, tokens, types, ids };
  const parts = raw.model === 'gpt2' ? byteLevel(vocabulary) : raw.model === 'llama' ? sentencePiece(vocabulary) : null;
  if (parts === null) throw unsupported(where, 'model', raw.model, 'gpt2 (byte-level BPE) and llama (SentencePiece)');
  if (raw.add_eos_token === true) throw unsupported(where, 'add_eos_token', 'true', 'false');

  const tokenOf = (id: number | undefined): string | null => (id === undefined ? null : (tokens[id] ?? null));
  const bos = tokenOf(raw.bos_token_id ?? parts.bosTokenId);
  const addBos = (raw.add_bos_token ?? parts.addBos) && bos !== null;
  return {
    tokenizerJson: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedTokens(vocabulary, raw.model === 'llama' && metadata.get('general.architecture') === 'phi3'),
      normalizer: parts.normalizer,
      pre_tokenizer: parts.preTokenizer,
      post_processor: addBos ? startsWith(bos, ids.get(bos)!) : null,
      decoder: parts.decoder,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: parts.unknown,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: parts.bytesAsTokens,
        byte_fallback: parts.bytesAsTokens,
        ignore_merges: parts.wholeWords,
        vocab: Object.fromEntries(ids),
        merges: parts.merges,
      },
    },
    tokenizerConfig: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: bos,
      eos_token: tokenOf(raw.eos_token_id ?? parts.eosTokenId),
      unk_token: parts.unknown,
      pad_token: tokenOf(raw.padding_token_id),
      add_bos_token: addBos,
      add_eos_token: false,
      clean_up_tokenization_spaces: false,
    },
    chatTemplate: chatTemplate(metadata, where),
  };
}

type Vocabulary = { where: string; raw: Fields; tokens: string[]; types: Int32Array; ids: ReadonlyMap<string, number> };

/** What differs between the two kinds of tokenizer. */
type Parts = {
  normalizer: Json;
  preTokenizer: Json;
  decoder: Json;
  merges: [string, string][] | string[];
  unknown: string | null;
  /** the bytes of an unknown character are tokens like `<0x0A>` */
  bytesAsTokens: boolean;
  /** a word that is a token is not built by merges */
  wholeWords: boolean;
  addBos: boolean;
  bosTokenId?: number;
  eosTokenId?: number;
};

function byteLevel({ where, raw, ids }: Vocabulary): Parts {
  const name = raw.pre ?? 'default';
  const pre: PreTokenizer | undefined = Object.hasOwn(preTokenizers, name) ? preTokenizers[name] : undefined;
  if (pre === undefined) throw unsupported(where, 'pre', name, preTokenizerNames.join(', '));
  if (raw.add_space_prefix === true) throw unsupported(where, 'add_space_prefix', 'true', 'false for gpt2');
  if (raw.merges === undefined) throw badTokenizer(where, 'tokenizer.ggml.merges is missing');
  for (const merge of raw.merges) {
    const space = merge.indexOf(' ', 1);
    const [left, right] = [merge.slice(0, space), merge.slice(space + 1)];
    if (space > 0 && !right.includes(' ') && ids.has(left) && ids.has(right) && ids.has(left + right)) continue;
    throw badTokenizer(where, `the merge ${JSON.stringify(merge.slice(0, 80))} is not of two tokens that make a third`);
  }
  const split = (pattern: string): Json => ({
    type: 'Split',
    pattern: { Regex: pattern },
    behavior: 'Isolated',
    invert: false,
  });
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
  return {
    normalizer: pre.composed ? { type: 'NFC' } : null,
    preTokenizer: { type: 'Sequence', pretokenizers: [...pre.patterns.map(split), bytes] },
    decoder: bytes,
    merges: raw.merges,
    unknown: null,
    bytesAsTokens: false,
    wholeWords: pre.wholeWords,
    addBos: pre.addBos,
  };
}

/** U+2581 stands for a space in SentencePiece's vocabularies. */
const SPACE = '\u2581';

function sentencePiece({ where, raw, tokens, types, ids }: Vocabulary): Parts {
  const { scores } = raw;
  if (scores?.length !== tokens.length) {
    throw badTokenizer(where, `tokenizer.ggml.scores has ${scores?.length ?? 0} entries for ${tokens.length} tokens`);
  }
  const byteTokens = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  );
  const lacking = byteTokens.find((token) => !ids.has(token));
  if (lacking !== undefined) throw unsupported(where, 'tokens', `without ${lacking}`, 'a vocabulary with all bytes');
  const joined = tokens.map((_, id) => types[id] !== UNKNOWN && types[id] !== CONTROL && types[id] !== BYTE);
  const merges = scoredMerges(tokens, scores, joined);
  if (merges === null) throw badTokenizer(where, 'its tokens are too long to find how they are merged');
  const prefix = raw.add_space_prefix ?? true;
  const unknown = tokens[raw.unknown_token_id ?? 0] ?? null;
  return {
    normalizer: {
      type: 'Sequence',
      normalizers: [
        ...(prefix ? [{ type: 'Prepend', prepend: SPACE }] : []),
        { type: 'Replace', pattern: { String: ' ' }, content: SPACE },
      ],
    },
    preTokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    merges,
    unknown,
    bytesAsTokens: true,
    wholeWords: false,
    addBos: true,
    bosTokenId: 1,
    eosTokenId: 2,
  };
}

/** Tokens of Phi-3 that leave the white space behind them alone. */
const PHI3_PLAIN = ['<unk>', '<s>', '<|endoftext|>'];

/**
 * Control tokens are special; tokens of the user are found in text too, but say something. Those of Phi-3 swallow the white
 * space behind them, as its own tokenizer.json says and no key does.
 */
function addedTokens({ tokens, types }: Vocabulary, phi3: boolean): Json[] {
  return tokens.flatMap((content, id) => {
    const special = types[id] === CONTROL || types[id] === UNKNOWN;
    if (!special && types[id] !== ADDED) return [];
    const rstrip = phi3 && !PHI3_PLAIN.includes(content);
    return [{ id, content, single_word: false, lstrip: false, rstrip, normalized: false, special }];
  });
}

/** Puts the token before a text, where special tokens are asked for. */
function startsWith(token: string, id: number): Json {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const text = (name: string, type: number) => ({ Sequence: { id: name, type_id: type } });
  return {
    type: 'TemplateProcessing',
    single: [special, text('A', 0)],
    pair: [special, text('A', 0), text('B', 1)],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

/** The template for tools where there is one, as transformers prefers it. */
function chatTemplate(metadata: ReadonlyMap<string, unknown>, where: string): string | null {
  const template = metadata.get('tokenizer.chat_template.tool_use') ?? metadata.get('tokenizer.chat_template') ?? null;
  if (template === null || typeof template === 'string') return template;
  throw badTokenizer(where, 'tokenizer.chat_template is no text');
}

function badTokenizer(where: string, what: string): ParetuneError {
  return new ParetuneError('bad-file', `${where} has a tokenizer that cannot be used: ${what}.`, {
    hint: 'Download the file again, or convert the model again with a current llama.cpp.',
  });
}

function unsupported(where: string, key: string, value: string, supported: string): ParetuneError {
  return new ParetuneError(
    'unsupported',
    `${where}: tokenizer.ggml.${key} is ${JSON.stringify(value.slice(0, 100))}; supported is ${supported}.`,
    { hint: 'Import the model from its Hugging Face folder, which has a tokenizer.json.' },
  );
}
