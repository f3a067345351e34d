/**
 * ParetoPO: stage 1 (global, hypervolume-guided weighted sums) for the first part of a run, stage 2 (local, Pareto ranks)
 * for the rest. Each stage is a file of its own; this one only switches.
 *
 * Source: ParetoPO (arXiv 2606.16111). The paper does not print when to switch: `stage1Fraction` of the planned steps,
 * rounded. Stage 2 leaves the frontiers of stage 1 as they are, so that a fork may go back to stage 1.
 */
import type { ParetopoOptions } from '../../contract/run-config.ts';
import type { AdvantageMethod } from './method.ts';
import { stage1, type Stage1State } from './paretopo-stage1.ts';
import { stage2 } from './paretopo-stage2.ts';

/** What the paper prints, where our default reads it otherwise. */
export const printedOptions = { factor: 'before-normalization', archive: 'global', stage2: 'raw' } as const;

/** The method under these options; its state are the frontiers of stage 1. */
export function paretopo(name: string, options: ParetopoOptions): AdvantageMethod<Stage1State> {
  return {
    name,
    initialState: () => ({}),
    advantages(input, state) {
      if (input.step < Math.round(options.stage1Fraction * input.totalSteps)) return stage1(input, state, options);
      return { ...stage2(input, options), state };
    },
  };
}
