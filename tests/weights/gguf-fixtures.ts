/** The small GGUF models that scripts/make-gguf-fixtures.py made, and what the reference programs said of them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ggufFolder = join(import.meta.dirname, '..', 'fixtures', 'gguf');
export const ggufFamilies = ['llama', 'qwen2', 'qwen3', 'smollm3', 'olmo2', 'phi3', 'gemma2', 'gemma3'] as const;
export type GgufFamily = (typeof ggufFamilies)[number];
export const ggufPath = (family: GgufFamily) => join(ggufFolder, `tiny-${family}.gguf`);

export type ExpectedModel = {
  /** ids of `texts` by llama.cpp without and with markup */
  plain: number[][];
  special: number[][];
  prompt: number[];
  /** where `logits` [positions][vocabulary] stand in the prompt */
  positions: number[];
  logits: string;
  /** of each tensor's floats, under the file's name */
  sha256: Record<string, string>;
};
export type Expected = { texts: string[] } & Record<GgufFamily, ExpectedModel>;

export const expectedOfGguf = (): Expected => JSON.parse(readFileSync(join(ggufFolder, 'expected.json'), 'utf8'));

export function floatsOf(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
}
