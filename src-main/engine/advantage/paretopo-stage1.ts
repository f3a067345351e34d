/**
 * Stage 1 of ParetoPO, global: a weighted sum of the objectives, scaled by how much the frontier has lately grown.
 *
 *     dHV(r, B)  = HV(B u {r}) - HV(B)                   B: archive of non-dominated reward vectors, reference point 0
 *     dHV_t      = gamma dHV_{t-1} + (1 - gamma) dHV     moving average, from 0
 *     r_pareto   = 0.5 + 1.5 tanh(dHV_t)
 *     R          = r_pareto (w . r)
 *     A          = (R - mean(R)) / (std(R) + 1e-4)       GRPO on the scalar reward
 *     B         <- the non-dominated of B u {r}          after the whole round was scored
 *
 * Source: ParetoPO (arXiv 2606.16111), stage 1. What the text leaves open is an option; what it does to the gradient:
 * 1. What t counts (`average`). `per-rollout`: each rollout mixes its own gain with the average that the last round left; the
 *    new average is their mean. `sequential`: rollout after rollout. `round-mean`: one average for the round, hence one factor
 *    for all. With the archive `mean-vector` the point is the round's mean reward vector, as near as a reward comes to a
 *    policy's point, and there is one factor as well.
 * 2. A common factor cancels: what a whole group shares is divided out with its deviation. So r_pareto may be applied
 *    `after-normalization`, A = r_pareto (w . r - mean) / (std + 1e-4), where a common one is a step size; before it only
 *    differences within a group act. A setting without any effect is refused (methods.ts).
 * 3. Per-rollout gains saturate: the cheapest success is exactly (1, 1), and above reference 0 nothing can follow it. With a
 *    `global` archive that happens in the first rounds; with one archive and one average a problem (`per-problem`) the factor
 *    acts until that problem's frontier is complete.
 * 4. r_pareto is a factor of the advantage's size, never of its sign: at least 0.5, at most 2.
 */
import type { ParetopoOptions } from '../../contract/run-config.ts';
import { mean, mix } from '../base/statistics.ts';
import { insertAll } from '../pareto/archive.ts';
import { hypervolumeGain } from '../pareto/hypervolume.ts';
import type { AdvantageInput, AdvantageOutput } from './method.ts';
import { standardized, weightedSums } from './scalars.ts';

/** What stage 1 remembers of one frontier: its archive B and the moving average dHV_t. */
export type Frontier = { archive: number[][]; average: number };

/** A frontier for each problem, or a single one under the name '' where all problems share it. */
export type Stage1State = Record<string, Frontier>;

export type Stage1Options = Pick<ParetopoOptions, 'gamma' | 'archive' | 'average' | 'factor'>;

/** Gain, moving average and factor of each rollout of a round, and the frontier that the round leaves behind. */
export type ScoredRound = { gains: number[]; averages: number[]; factors: number[]; after: Frontier };

/** The frontier before anything was seen. */
export const emptyFrontier: Frontier = { archive: [], average: 0 };

/** r_pareto of a moving average of hypervolume gains: 0.5 where nothing is gained, below 2 always. */
export function rPareto(average: number): number {
  return 0.5 + 1.5 * Math.tanh(average);
}

/** Scores the reward vectors [n][M] of one round, in order, against a frontier that stays as it is until all are scored. */
export function scoreRound(
  vectors: number[][],
  { archive, average }: Frontier,
  reference: number[],
  { gamma, ...options }: Pick<Stage1Options, 'gamma' | 'archive' | 'average'>,
): ScoredRound {
  const onMeans = options.archive === 'mean-vector';
  const points = onMeans ? [reference.map((_, m) => mean(vectors.map((vector) => vector[m])))] : vectors;
  const gains = points.map((point) => hypervolumeGain(archive, reference, point));

  let averages: number[];
  let left: number;
  if (onMeans || options.average === 'round-mean') {
    left = mix(average, mean(gains), gamma);
    averages = vectors.map(() => left);
  } else if (options.average === 'sequential') {
    left = average;
    averages = gains.map((gain) => {
      left = mix(left, gain, gamma);
      return left;
    });
  } else {
    averages = gains.map((gain) => mix(average, gain, gamma));
    left = mean(averages);
  }
  return {
    gains: onMeans ? vectors.map(() => gains[0]) : gains,
    averages,
    factors: averages.map(rPareto),
    after: { archive: insertAll(archive, points), average: left },
  };
}

/** Advantages of one group [G] from its reward vectors, weights and factors. */
export function scaledAdvantages(
  rewards: number[][],
  weights: number[],
  factors: number[],
  place: Stage1Options['factor'],
): number[] {
  const scalars = weightedSums(rewards, weights);
  if (place === 'after-normalization') return standardized(scalars).map((advantage, i) => factors[i] * advantage);
  return standardized(scalars.map((scalar, i) => factors[i] * scalar));
}

/** One step of stage 1. The groups that share a frontier are one round of it, in their order in the step. */
export function stage1(
  { groups, weights }: AdvantageInput,
  state: Stage1State,
  options: Stage1Options,
): AdvantageOutput<Stage1State> {
  const frontiers = new Map(Object.entries(state));
  const reference = weights.map(() => 0);
  const advantages: number[][] = new Array(groups.length);
  const rounds: ScoredRound[] = [];

  const places = groups.map((_, p) => p);
  const nameOf = (p: number) => (options.archive === 'per-problem' ? groups[p].problemId : '');
  for (const [name, members] of Map.groupBy(places, nameOf)) {
    const vectors = members.flatMap((p) => groups[p].rewards);
    const round = scoreRound(vectors, frontiers.get(name) ?? emptyFrontier, reference, options);
    let start = 0;
    for (const p of members) {
      const { rewards } = groups[p];
      const factors = round.factors.slice(start, start + rewards.length);
      advantages[p] = scaledAdvantages(rewards, weights, factors, options.factor);
      start += rewards.length;
    }
    frontiers.set(name, round.after);
    rounds.push(round);
  }
  const factors = rounds.flatMap((round) => round.factors);
  return {
    advantages,
    report: {
      stage: 1,
      rPareto: mean(factors),
      rParetoSpread: Math.max(...factors) - Math.min(...factors),
      hypervolumeGain: mean(rounds.flatMap((round) => round.gains)),
    },
    state: Object.fromEntries(frontiers),
  };
}
