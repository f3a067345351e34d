/**
 * chat.json: renderings and token ids of transformers, on the tokenizer that the file names (a devDependency).
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'node:test';
import { z } from 'zod';
import type { ChatMessage, ToolSpec } from '../../src-main/contract/records.ts';
import { makeChatFormat } from '../../src-main/engine/text/chat-format.ts';
import { compileChatTemplate } from '../../src-main/engine/text/chat-template.ts';
import { makeTokenizer } from '../../src-main/engine/text/tokenizer.ts';
import { goldenFile, goldenMissing } from './fixtures.ts';

type Chat = {
  tokenizer: {
    npm_package: string;
    version: string;
    folder: string;
    sha256: Record<string, string>;
    vocabulary: number;
  };
  conversations: {
    name: string;
    messages: object[];
    tools: object[] | null;
    renderings: {
      add_generation_prompt: boolean;
      text: string;
      ids: number[];
      decoded_is_text: boolean;
      decoded?: string;
    }[];
  }[];
  texts: { text: string; ids: number[]; decoded: string; decoded_skip_special: string }[];
};

const hfConversation = z.object({
  messages: z.array(
    z.object({
      role: z.enum(['system', 'user', 'assistant', 'tool']),
      content: z.string(),
      tool_calls: z
        .array(z.object({ function: z.object({ name: z.string(), arguments: z.record(z.string(), z.json()) }) }))
        .optional(),
    }),
  ),
  tools: z.array(z.object({ function: z.looseObject({}) })),
});

describe('chat.json', { skip: goldenMissing('chat.json') }, () => {
  const golden = goldenFile<Chat>('chat.json');
  const read = (name: string) => {
    const { npm_package, folder, sha256 } = golden.tokenizer;
    const bytes = readFileSync(
      fileURLToPath(new URL(`../../node_modules/${npm_package}/${folder}/${name}`, import.meta.url)),
    );
    assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256[name], `${name} is another version`);
    return JSON.parse(bytes.toString());
  };
  const config = read('tokenizer_config.json');
  const tokenizer = makeTokenizer(read('tokenizer.json'), config);
  const template = compileChatTemplate(config.chat_template);

  test('the vocabulary has the size of the reference', () =>
    assert.equal(tokenizer.vocabSize, golden.tokenizer.vocabulary));

  for (const { name, messages, tools, renderings } of golden.conversations) {
    test(`renders and encodes: ${name}`, () => {
      for (const rendering of renderings) {
        const { add_generation_prompt } = rendering;
        const text = template({ messages, tools, documents: null, add_generation_prompt, eos_token: config.eos_token });
        assert.equal(text, rendering.text);
        const ids = tokenizer.encode(text, { special: true });
        assert.deepEqual(ids, rendering.ids);
        const decoded = rendering.decoded_is_text ? rendering.text : rendering.decoded;
        assert.equal(tokenizer.decode(ids, { skipSpecial: false }), decoded);
      }
    });
  }

  test('the chat format makes the same prompts of our own messages', () => {
    let compared = 0;
    for (const { messages, tools, renderings } of golden.conversations) {
      const parsed = hfConversation.safeParse({ messages, tools: tools ?? [] });
      if (!parsed.success) continue; // null contents and arguments that are text: read by whoever imports such files
      const specs = parsed.data.tools.map((tool) => tool.function as ToolSpec);
      const format = makeChatFormat({
        tokenizer,
        template: config.chat_template,
        tokenizerConfig: config,
        eosTokenIds: [],
        tools: specs,
        primaryArgument: (name) => specs.find((spec) => spec.name === name)!.parameters.required[0],
      });
      const ours = parsed.data.messages.map(
        ({ role, content, tool_calls }): ChatMessage => ({
          role,
          content,
          toolCalls: tool_calls?.map((call) => call.function),
        }),
      );
      for (const { add_generation_prompt, text, ids } of renderings) {
        assert.equal(format.renderText(ours, specs, { generationPrompt: add_generation_prompt }), text);
        if (add_generation_prompt) assert.deepEqual(format.promptTokens(ours), ids);
        compared++;
      }
    }
    assert.ok(compared > 0);
  });

  test(`encodes and decodes ${golden.texts.length} texts`, () => {
    for (const { text, ids, decoded, decoded_skip_special } of golden.texts) {
      assert.deepEqual(tokenizer.encode(text, { special: true }), ids);
      assert.equal(tokenizer.decode(ids, { skipSpecial: false }), decoded);
      assert.equal(tokenizer.decode(ids, { skipSpecial: true }), decoded_skip_special);
    }
  });
});
