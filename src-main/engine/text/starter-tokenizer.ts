/**
 * Tokenizer files and chat template of the starter agents: 256 byte tokens, so that any text is encodable and comes back
 * unchanged; a token a known word; eight markup tokens. No merges: a digit, an operator, a letter of an unknown word is
 * one byte token.
 *
 * Words are added tokens and not products of merges. Merges would need a token for every beginning of a word, and
 * `ignore_merges` (which needs none) is not known to ONNX Runtime's tokenizer. transformers.js and Rust tokenizers give
 * the same ids for these files, and so does onnxruntime-extensions 0.15 but for a text that ends in a space and one more
 * character, of which it loses the last: prompts end in a markup token, so none of them is such a text.
 */
import type { Json } from '../../contract/records.ts';
import { assert } from '../base/assert.ts';

/** Ids 256 to 263, after the bytes. */
export const STARTER_MARKUP = [
  '<|pad|>',
  '<|user|>',
  '<|assistant|>',
  '<|end|>',
  '<|result|>',
  '<|python|>',
  '<|calculator|>',
  '<|search|>',
];

export type StarterTokenizer = {
  tokenizerJson: { [key: string]: Json };
  tokenizerConfig: { [key: string]: Json };
  chatTemplate: string;
};

/** Turns `<|user|>TEXT`, `<|assistant|>TEXT<|end|>`, `<|assistant|><|python|>ARGUMENT<|end|>` and `<|result|>TEXT`. */
const CHAT_TEMPLATE = `{%- for message in messages -%}
{%- if message.role == 'user' -%}
{{- '<|user|>' + message.content -}}
{%- elif message.role == 'tool' -%}
{{- '<|result|>' + message.content -}}
{%- elif message.role == 'assistant' -%}
{{- '<|assistant|>' + (message.content or '') -}}
{%- for call in message.tool_calls or [] -%}
{%- if not loop.first -%}{{- raise_exception('one tool call a turn') -}}{%- endif -%}
{{- '<|' + call.function.name + '|>' -}}
{%- for name, value in call.function.arguments.items() -%}{{- value -}}{%- endfor -%}
{%- endfor -%}
{{- '<|end|>' -}}
{%- else -%}
{{- raise_exception('roles are user, assistant and tool') -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
`;

/**
 * The files for these words (letters only). Every word is one token with its leading space; a capitalised one also
 * without, as it starts a text. The ids depend on the set of words only.
 */
export function starterTokenizer(words: readonly string[]): StarterTokenizer {
  for (const word of words) assert(/^\p{L}+$/u.test(word), `a word holds letters only, got ${JSON.stringify(word)}`);
  const spellings = words.flatMap((word) => (/^\p{Lu}/u.test(word) ? [` ${word}`, word] : [` ${word}`]));
  // Longest first: readers that search token by token then find the same tokens as those that search for the longest.
  const sorted = [...new Set(spellings)].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  const added = [...STARTER_MARKUP, ...sorted].map((content, i) => ({
    id: 256 + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: i < STARTER_MARKUP.length,
  }));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
  return {
    tokenizerJson: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(byteCharacters().map((character, byte) => [character, byte])),
        merges: [],
      },
    },
    tokenizerConfig: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: null,
      eos_token: '<|end|>',
      pad_token: '<|pad|>',
      unk_token: null,
      add_bos_token: false,
      clean_up_tokenization_spaces: false,
    },
    chatTemplate: CHAT_TEMPLATE,
  };
}

/** The character that stands for each byte in byte-level vocabularies (GPT-2): itself where it prints, else one from U+0100 on. */
function byteCharacters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const prints = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCodePoint(prints ? byte : next++);
  });
}
