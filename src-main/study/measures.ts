/**
 * What a run is judged by: numbers of its last policy on the report split, beside the hypervolume of everything it went
 * through. One definition of each axis for all runs of a study:
 *
 *     hypervolume          success x (1 - cost / cost limit)                       of the last policy, reference (0, 0)
 *     hypervolumeSteep     success x exp(-calls)                                   the same on an axis that prices calls higher
 *     hypervolumeThree     the first, times (1 - response length / token limit)    three objectives
 *     frontierHypervolume  of all policies evaluated on the selection split: rewards one lucky early point, so never alone
 *     frontierArea         mean of that over the evaluations: how soon it was there
 *     successesPerCall     success / calls (OTC's tool productivity)
 *
 * A run that had to be stopped counts with its last selection point: leaving it out would favour methods that break.
 */
import { startMethod, type Shard, type ShardPoint, type StudyMetric } from '../contract/study.ts';
import { mean } from '../engine/base/statistics.ts';
import { hypervolume } from '../engine/pareto/hypervolume.ts';

export type Measures = Record<StudyMetric, number | null>;

/** Which way is better. */
export const lowerIsBetter: ReadonlySet<StudyMetric> = new Set(['cost', 'calls', 'responseLength', 'greedyCalls']);

/** The measures of a run's last policy, or of its start policy. `null` where a point is missing. */
export function measuresOf(shard: Shard, which: 'last' | typeof startMethod = 'last'): Measures {
  const atStart = which === startMethod;
  const selection = pointsOf(shard, 'selection', 'sampled').filter(({ step }) => !atStart || step === 0);
  const end = (sampling: ShardPoint['sampling']) => {
    const report = pointsOf(shard, 'report', sampling);
    if (atStart) return report.find(({ step }) => step === 0);
    return report.findLast(({ step }) => step > 0) ?? pointsOf(shard, 'selection', sampling).at(-1);
  };
  const [point, greedy] = [end('sampled'), end('greedy')];
  const volumes = selection.map((_, i) => hypervolume(selection.slice(0, i + 1).map(vectorOf(shard)), [0, 0]));
  const area = point === undefined ? null : Math.max(0, point.success * efficiency(shard, point));
  return {
    success: point?.success ?? null,
    cost: point?.cost ?? null,
    calls: point?.calls ?? null,
    successesPerCall: point === undefined || point.calls === 0 ? null : point.success / point.calls,
    responseLength: point?.responseLength ?? null,
    hypervolume: area,
    hypervolumeSteep: point === undefined ? null : point.success * Math.exp(-point.calls),
    hypervolumeThree:
      point === undefined ? null : area! * Math.max(0, 1 - point.responseLength / shard.config.limits.tokens),
    frontierHypervolume: volumes.at(-1) ?? null,
    frontierArea: volumes.length === 0 ? null : mean(volumes),
    greedySuccess: greedy?.success ?? null,
    greedyCalls: greedy?.calls ?? null,
  };
}

/** Points of a shard in order of their steps. */
export function pointsOf(shard: Shard, split: ShardPoint['split'], sampling: ShardPoint['sampling']): ShardPoint[] {
  return shard.points
    .filter((point) => point.split === split && point.sampling === sampling)
    .sort((a, b) => a.step - b.step);
}

function efficiency({ costLimit }: Shard, { cost }: ShardPoint): number {
  return 1 - cost / costLimit;
}

function vectorOf(shard: Shard): (point: ShardPoint) => number[] {
  return (point) => [point.success, efficiency(shard, point)];
}
