/**
 * Prompts into keys, values and first tokens. What all of them begin with (the tools of a model whose template describes them
 * in the system message) is run once, where it is long. Not what follows: collect.ts.
 */
import { commonLength } from '../base/sequences.ts';
import type { Cache, DecodeEngine, DecodeStep, Draws } from './decode-engine.ts';

/** A beginning that is shorter is run with each prompt. */
const SHORTEST = 64;

/** Runs the prompts [P][tokens, at least one] with the draws that `step` asks of each; the cache has a row for each of them. */
export async function runPrompts(
  engine: DecodeEngine,
  prompts: readonly (readonly number[])[],
  step: Omit<DecodeStep, 'tokens'>,
): Promise<Draws & { cache: Cache }> {
  const cache = engine.newCache(prompts.length);
  const shared = sharedLength(prompts);
  if (shared < SHORTEST) return { ...(await engine.run({ ...step, tokens: prompts }, cache)), cache };
  const beginning = engine.newCache(1);
  await engine.run({ ...step, tokens: [prompts[0].slice(0, shared)], uniforms: [[0.5]] }, beginning);
  await engine.handOver(
    beginning,
    cache,
    prompts.map((_, row) => ({ row, from: 0 })),
  );
  const rests = prompts.map((prompt) => prompt.slice(shared));
  return { ...(await engine.run({ ...step, tokens: rests }, cache)), cache };
}

/** How many tokens all prompts begin with, each keeping at least one of its own; 0 for a single prompt. */
function sharedLength(prompts: readonly (readonly number[])[]): number {
  if (prompts.length < 2) return 0;
  return prompts.reduce(
    (length, prompt) => commonLength(prompts[0], prompt, Math.min(length, prompt.length - 1)),
    prompts[0].length - 1,
  );
}
