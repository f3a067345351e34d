/** From a reward vector to one number, and from the numbers of a group to advantages: what the methods share. */
import { mean, standardDeviation } from '../base/statistics.ts';

/** Added to a group's deviation before dividing by it, as in TRL; keeps a nearly uniform group from exploding. */
const epsilon = 1e-4;

/** w . r for each reward vector [G][M] of a group. */
export function weightedSums(rewards: readonly number[][], weights: readonly number[]): number[] {
  return rewards.map((vector) => vector.reduce((sum, reward, m) => sum + weights[m] * reward, 0));
}

/** value - group mean; exactly 0 in a group without spread. */
export function centred(values: readonly number[]): number[] {
  const centre = mean(values);
  return values.map((value) => value - centre);
}

/** (value - group mean) / (deviation with n - 1 + 1e-4): GRPO's advantage; 0 for a group of one. */
export function standardized(values: readonly number[]): number[] {
  const deviation = values.length < 2 ? 0 : standardDeviation(values);
  return centred(values).map((value) => value / (deviation + epsilon));
}
