/** The lines beside the frontier: what each small chart shows, from a run's view. Pure. */
import { frontierPoints, type RunView, type ViewPoint, type ViewStep } from '../runs/run-view.ts';
import type { LineSeries } from '../ui/line-svg.ts';
import { words } from '../words.ts';

export type Multiple = {
  name: keyof typeof words.multiples.names;
  percent: boolean;
  series: LineSeries[];
};

/** Steps (start and every step) and the charts over them; a value that does not exist for a step is null. */
export function multiplesOf(view: RunView): { steps: number[]; charts: Multiple[] } {
  const { steps, trained, measured } = courseOf(view);
  const { names, series } = words.multiples;
  const step = (pick: (row: ViewStep['metrics']) => number | null, label: string, color = '--series-1') => ({
    label,
    color,
    values: trained.map((row) => (row === undefined ? null : finite(pick(row.metrics)))),
  });
  const point = (pick: (row: ViewPoint) => number | null) => ({
    label: series.evaluated,
    color: '--series-2',
    points: true,
    values: measured.map((row) => (row === undefined ? null : finite(pick(row)))),
  });
  const charts: Multiple[] = [
    { name: 'success', percent: true, series: [step((m) => m.success, series.step), point((p) => p.success)] },
    { name: 'cost', percent: false, series: [step((m) => m.cost, series.step), point((p) => p.cost)] },
    { name: 'hypervolume', percent: false, series: [point((p) => p.hypervolume)] },
    { name: 'length', percent: false, series: [step((m) => m.responseLength, names.length), point((p) => p.responseLength)] },
    { name: 'entropy', percent: false, series: [step((m) => m.entropy, names.entropy)] },
    { name: 'kl', percent: false, series: [step((m) => m.kl, series.step), point((p) => p.klToStart)] },
    { name: 'speed', percent: false, series: [step((m) => (m.stepMs > 0 ? (m.sampledTokens / m.stepMs) * 1000 : null), names.speed)] },
    {
      name: 'spread',
      percent: true,
      series: [
        step((m) => m.groupsMixed, series.mixed),
        step((m) => m.groupsAllRight, series.right, '--series-3'),
        step((m) => m.groupsAllWrong, series.wrong, '--series-2'),
      ],
    },
  ];
  return { steps, charts };
}

/** Training steps and measured policies side by side, by step: both lists are in its order already. */
function courseOf(view: RunView) {
  const points = frontierPoints(view);
  const steps: number[] = [];
  const trained: (ViewStep | undefined)[] = [];
  const measured: (ViewPoint | undefined)[] = [];
  for (let i = 0, j = 0; i < view.steps.length || j < points.length; ) {
    const at = Math.min(view.steps[i]?.step ?? Infinity, points[j]?.step ?? Infinity);
    steps.push(at);
    trained.push(view.steps[i]?.step === at ? view.steps[i++] : undefined);
    measured.push(points[j]?.step === at ? points[j++] : undefined);
  }
  return { steps, trained, measured };
}

function finite(value: number | null): number | null {
  return value !== null && Number.isFinite(value) ? value : null;
}
