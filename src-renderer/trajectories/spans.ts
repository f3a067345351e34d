/** A trajectory as runs of tokens by who put them there, each sampled token with its log-probability. Pure. */
import type { Segment } from '../../src-main/contract/records.ts';

export type Token = { index: number; text: string; logprob: number | null };
export type Span = { kind: Segment['kind']; tokens: Token[]; text: string };

/** One span a segment; log-probabilities are those of model segments in order. */
export function spansOf(segments: readonly Segment[], tokenTexts: readonly string[], sampledLogprobs: readonly number[]): Span[] {
  let sampled = 0;
  return segments.map(({ kind, start, end }) => {
    const tokens = tokenTexts.slice(start, end).map((text, i): Token => ({
      index: start + i,
      text,
      logprob: kind === 'model' ? (sampledLogprobs[sampled++] ?? null) : null,
    }));
    return { kind, tokens, text: tokens.map(({ text }) => text).join('') };
  });
}

/** How sure the model was of a token, 0 (sure) to 3 (unlikely): the classes of its mark. */
export function doubt(logprob: number | null): 0 | 1 | 2 | 3 {
  if (logprob === null || logprob > Math.log(0.9)) return 0;
  if (logprob > Math.log(0.5)) return 1;
  return logprob > Math.log(0.1) ? 2 : 3;
}
