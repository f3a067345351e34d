/**
 * What a trajectory spent, as plain numbers without a unit: prices may be money, seconds or anything, so they are divided by
 * a reference that is measured once, shown and stored with the run.
 *
 * With unit prices the reference price is 1 and a cost is the paper's number of calls, exactly.
 */
import { assert } from '../base/assert.ts';

/**
 * `amount` in units of `reference`, rounded to 12 significant digits: a thousandfold unit, or prices summed in another
 * order, differ in their last bits, and training must not. A reference of 0 means that nothing costs anything.
 */
export function inUnitsOf(reference: number, amount: number): number {
  assert(amount >= 0 && reference >= 0 && (reference > 0 || amount === 0), `${amount} in units of ${reference}`);
  return amount === 0 ? 0 : Number((amount / reference).toPrecision(12));
}

/**
 * The mean price of one call in trajectories of the start policy. Where those made no paid call it is the mean of the
 * `prices` above 0 of the run's tools, and 1 where every tool is free.
 */
export function measureReferencePrice(
  trajectories: readonly { cost: number; calls: number }[],
  prices: readonly number[],
): number {
  const cost = trajectories.reduce((sum, trajectory) => sum + trajectory.cost, 0);
  const calls = trajectories.reduce((sum, trajectory) => sum + trajectory.calls, 0);
  if (cost > 0) return cost / calls;
  const paid = prices.filter((price) => price > 0);
  return paid.length === 0 ? 1 : paid.reduce((sum, price) => sum + price, 0) / paid.length;
}
