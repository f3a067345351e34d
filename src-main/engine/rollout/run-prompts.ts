/**
 * Prompts into keys, values and first tokens. What all of them begin with (the tools of a model whose template describes them
 * in the system message) is run once, where it is long. Not what follows: collect.ts.
 */
import { commonLength } from '../base/sequences.ts';
import type { DecodeEngine, DecodeStep } from './decode-engine.ts';
import type { KvCache } from './kv-cache.ts';

export type RanPrompts = {
  /** [prompts][draws] */
  tokens: number[][];
  /** [prompts][draws] nats */
  logprobs: number[][];
  /** writes all of a prompt's keys and values into an empty row of a cache */
  keep(cache: KvCache, row: number, prompt: number): void;
};

/** A beginning that is shorter is run with each prompt. */
const SHORTEST = 64;

/** Runs the prompts [P][tokens, at least one] with the draws that `step` asks of each. */
export async function runPrompts(
  engine: DecodeEngine,
  prompts: readonly (readonly number[])[],
  step: Omit<DecodeStep, 'tokens'>,
): Promise<RanPrompts> {
  const shared = sharedLength(prompts);
  if (shared < SHORTEST) {
    const { tokens, logprobs, keep } = await engine.run({ ...step, tokens: prompts }, null);
    return { tokens, logprobs, keep: (cache, row, prompt) => keep(cache, row, prompt, prompts[prompt].length) };
  }
  const beginning = await engine.run({ ...step, tokens: [prompts[0].slice(0, shared)], uniforms: [[0.5]] }, null);
  const cache = engine.newCache(prompts.length);
  for (const row of prompts.keys()) beginning.keep(cache, row, 0, shared);
  const rests = prompts.map((prompt) => prompt.slice(shared));
  const { tokens, logprobs, keep } = await engine.run({ ...step, tokens: rests }, cache);
  return {
    tokens,
    logprobs,
    keep(target, row, prompt) {
      beginning.keep(target, row, 0, shared);
      keep(target, row, prompt, rests[prompt].length);
    },
  };
}

/** How many tokens all prompts begin with, each keeping at least one of its own; 0 for a single prompt. */
function sharedLength(prompts: readonly (readonly number[])[]): number {
  if (prompts.length < 2) return 0;
  return prompts.reduce(
    (length, prompt) => commonLength(prompts[0], prompt, Math.min(length, prompt.length - 1)),
    prompts[0].length - 1,
  );
}
