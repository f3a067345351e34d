import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ErrorCode, ParetuneError } from '../../src-main/contract/errors.ts';
import { preTokenizerNames } from '../../src-main/engine/text/gguf-pre-tokenizers.ts';
import { ggufTokenizer } from '../../src-main/engine/text/gguf-tokenizer.ts';
import { scoredMerges } from '../../src-main/engine/text/scored-merges.ts';
import { makeTokenizer } from '../../src-main/engine/text/tokenizer.ts';
import { openGguf } from '../../src-main/engine/weights/gguf.ts';
import { expectedOfGguf, ggufFamilies, ggufPath, type GgufFamily } from '../weights/gguf-fixtures.ts';

const filesOf = (family: GgufFamily) => ggufTokenizer(openGguf(ggufPath(family)).metadata, family)!;
/** Through the text of the file, as it is read again from a model folder. */
function tokenizerOf(metadata: ReadonlyMap<string, unknown>) {
  const { tokenizerJson, tokenizerConfig } = ggufTokenizer(metadata, 'test')!;
  return makeTokenizer(JSON.parse(JSON.stringify(tokenizerJson)), tokenizerConfig);
}
const metadataOf = (family: GgufFamily) => new Map<string, unknown>(openGguf(ggufPath(family)).metadata);

describe('ggufTokenizer', () => {
  const expected = expectedOfGguf();
  for (const family of ggufFamilies) {
    test(`gives llama.cpp's ids for the ${family} file, with and without markup`, () => {
      const tokenizer = tokenizerOf(metadataOf(family));
      for (const [i, text] of expected.texts.entries()) {
        assert.deepEqual(tokenizer.encode(text, { special: false }), expected[family].plain[i], text);
        assert.deepEqual(tokenizer.encode(text, { special: true }), expected[family].special[i], text);
      }
    });
  }

  test('gives texts back, byte for byte', () => {
    for (const family of ['llama', 'qwen2'] as const) {
      const tokenizer = tokenizerOf(metadataOf(family));
      for (const text of expected.texts.filter((text) => !text.includes('▁'))) {
        const ids = tokenizer.encode(text, { special: false });
        assert.equal(tokenizer.decode(ids, { skipSpecial: false }), text);
      }
    }
  });

  test("lets Phi-3's markup swallow white space, but for the tokens around a text", () => {
    const { tokenizerJson } = ggufTokenizer(metadataOf('phi3').set('general.name', 'Phi 3.5 Mini'), 'test')!;
    const added = tokenizerJson.added_tokens as { content: string; rstrip: boolean }[];
    const swallowing = added.filter(({ rstrip }) => rstrip).map(({ content }) => content);
    assert.deepEqual(swallowing, ['</s>', '<|im_start|>', '<|im_end|>']);
    const others = filesOf('gemma2').tokenizerJson.added_tokens as { rstrip: boolean }[];
    assert.ok(others.every(({ rstrip }) => !rstrip));
  });

  test('knows special tokens, BOS, EOS and the chat template', () => {
    const llama = filesOf('llama');
    assert.deepEqual(
      [llama.tokenizerConfig.bos_token, llama.tokenizerConfig.eos_token, llama.tokenizerConfig.unk_token],
      ['<s>', '<|im_end|>', '<unk>'],
    );
    assert.equal(llama.tokenizerConfig.add_bos_token, true);
    assert.notEqual(llama.tokenizerJson.post_processor, null);
    assert.match(llama.chatTemplate ?? '', /im_start/);
    const qwen = filesOf('qwen2');
    assert.deepEqual([qwen.tokenizerConfig.add_bos_token, qwen.tokenizerJson.post_processor], [false, null]);
    const tokenizer = tokenizerOf(metadataOf('qwen2'));
    assert.equal(tokenizer.isSpecial(tokenizer.idOf('<|im_end|>')!), true);
    assert.equal(tokenizer.isSpecial(tokenizer.idOf('<tool_call>')!), false);
    assert.equal(tokenizer.encode('<tool_call>', { special: true }).length, 1);
    const metadata = metadataOf('qwen2').set('tokenizer.chat_template.tool_use', 'for tools');
    assert.equal(ggufTokenizer(metadata, 'test')!.chatTemplate, 'for tools');
  });

  test('has a tokenizer for every pre-tokenizer that it names', () => {
    for (const name of preTokenizerNames) {
      const tokenizer = tokenizerOf(metadataOf('qwen2').set('tokenizer.ggml.pre', name));
      const text = "I'LL pay 12345 €,\n\n  isn't   it?";
      assert.equal(tokenizer.decode(tokenizer.encode(text, { special: false }), { skipSpecial: false }), text, name);
    }
  });

  test('is null for a file without one', () => {
    assert.equal(ggufTokenizer(new Map(), 'test'), null);
    assert.equal(ggufTokenizer(new Map([['tokenizer.ggml.model', 'none']]), 'test'), null);
  });

  test('refuses by name what it does not know, and says what is damaged', () => {
    const cases: [GgufFamily, string, unknown, ErrorCode, RegExp][] = [
      ['qwen2', 'model', 'bert', 'unsupported', /tokenizer.ggml.model is "bert"; supported is gpt2/],
      ['qwen2', 'pre', 'kimi-k2', 'unsupported', /tokenizer.ggml.pre is "kimi-k2"; supported is default, gpt-2/],
      ['qwen2', 'pre', '__proto__', 'unsupported', /tokenizer.ggml.pre is "__proto__"/],
      ['qwen2', 'add_eos_token', true, 'unsupported', /add_eos_token/],
      ['qwen2', 'add_space_prefix', true, 'unsupported', /add_space_prefix/],
      ['qwen2', 'merges', undefined, 'bad-file', /merges is missing/],
      ['qwen2', 'merges', ['a b c'], 'bad-file', /the merge "a b c" is not of two tokens/],
      ['qwen2', 'merges', ['zz yy'], 'bad-file', /the merge "zz yy"/],
      ['qwen2', 'tokens', ['a', 'b', 'a'], 'bad-file', /token_type has 290 entries for 3 tokens/],
      ['qwen2', 'tokens', 'abc', 'bad-file', /tokenizer.ggml.tokens/],
      ['qwen2', 'tokens', [], 'bad-file', /tokenizer.ggml.tokens/],
      ['qwen2', 'bos_token_id', -1, 'bad-file', /bos_token_id/],
      ['qwen2', 'token_type', new Float32Array(290), 'bad-file', /token_type/],
      ['llama', 'scores', undefined, 'bad-file', /scores has 0 entries for 376 tokens/],
      ['llama', 'scores', new Float32Array(3), 'bad-file', /scores has 3 entries/],
    ];
    for (const [family, key, value, code, message] of cases) {
      assert.throws(
        () => ggufTokenizer(metadataOf(family).set(`tokenizer.ggml.${key}`, value), 'test'),
        (error) => {
          assert.ok(error instanceof ParetuneError, String(error));
          assert.match(error.message, message);
          return error.code === code;
        },
      );
    }
    const twice = metadataOf('llama');
    const tokens = [...(twice.get('tokenizer.ggml.tokens') as string[])];
    tokens[300] = tokens[301];
    assert.throws(() => ggufTokenizer(twice.set('tokenizer.ggml.tokens', tokens), 'test'), /is there twice/);
    tokens[300] = 'replaced';
    tokens[10] = 'byte';
    assert.throws(() => ggufTokenizer(twice.set('tokenizer.ggml.tokens', tokens), 'test'), /without <0x07>/);
    assert.throws(() => ggufTokenizer(metadataOf('llama').set('tokenizer.chat_template', 3), 'test'), /chat_template/);
  });
});

describe('scoredMerges', () => {
  const every = (tokens: string[]) => tokens.map(() => true);

  test('are all cuts of a token into two tokens, in the order of scores', () => {
    const tokens = ['a', 'b', 'ab', 'aba', 'ba'];
    const merges = scoredMerges(tokens, Float32Array.of(0, 0, -3, -1, -2), every(tokens));
    assert.deepEqual(merges, [
      ['a', 'ba'],
      ['ab', 'a'],
      ['b', 'a'],
      ['a', 'b'],
    ]);
  });

  test('cut between characters, and leave out tokens that are no part', () => {
    const tokens = ['😀', 'x', '😀x', 'y', 'xy'];
    const merges = scoredMerges(tokens, new Float32Array(5), [true, true, true, true, false]);
    assert.deepEqual(merges, [['😀', 'x']]);
  });

  test('are null where tokens are too long to try', () => {
    assert.equal(scoredMerges(['a'.repeat(60_000)], new Float32Array(1), [true]), null);
  });
});
