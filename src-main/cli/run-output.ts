/** What the commands about runs print for people: the before-and-after table, the frontier, what to try next. */
import type { PolicyPoint } from '../contract/records.ts';
import type { BeforeAfter, Estimate } from '../contract/window-records.ts';
import type { RunSummary } from '../engine-process/run-summary.ts';
import type { FrontierChart } from './frontier-chart.ts';
import { frontierPlot } from './frontier-plot.ts';
import { bytes, change, cost, duration, percentWithInterval, table } from './table.ts';

type Measured = Omit<PolicyPoint, 'breakdown'>;

/** Success and cost before and after, with intervals. */
export function beforeAfter(title: string, { before, after }: BeforeAfter<Measured>): string {
  const success = (point: Measured) => percentWithInterval(point.success, point.successLow, point.successHigh);
  const spent = (point: Measured) => `${cost(point.cost)} (${cost(point.costLow)}-${cost(point.costHigh)})`;
  const columns = [{ title }, { title: 'before' }, { title: 'after' }, { title: 'change', align: 'right' as const }];
  return table(columns, [
    ['success', success(before), success(after), `${((after.success - before.success) * 100).toFixed(1)} points`],
    ['tool cost a problem', spent(before), spent(after), change(before.cost, after.cost)],
    ['tool calls a problem', before.calls.toFixed(2), after.calls.toFixed(2), change(before.calls, after.calls)],
    [
      'sampled tokens',
      before.responseLength.toFixed(1),
      after.responseLength.toFixed(1),
      change(before.responseLength, after.responseLength),
    ],
  ]);
}

/** What a run will take: its memory by part, and its time with what that was measured on. */
export function estimateText({ memory, time }: Estimate, steps: number): string {
  const { needed, available, verdict, parts } = memory;
  const much = { fits: 'fits', tight: 'tight: close other programs', exceeds: 'too little' }[verdict];
  const named = parts.map((part) => `${part.name} ${bytes(part.bytes)}`).join(', ');
  const lines = [`memory: about ${bytes(needed)} (${named}); there are ${bytes(available)}: ${much}`];
  if (time === null) return [...lines, 'time: not measured'].join('\n');
  const { secondsPerStep, seconds, basis } = time;
  const step = secondsPerStep < 10 ? `${secondsPerStep.toPrecision(2)} s` : duration(1000 * secondsPerStep);
  lines.push(
    `time: about ${step} a step, about ${duration(1000 * seconds)} for all ${steps} with their evaluations`,
    `      (measured on ${basis})`,
  );
  return lines.join('\n');
}

/** What the charts draw of a run. */
export function chartOf(run: RunSummary): FrontierChart {
  return { title: run.runId, points: run.points, costLimit: run.costLimit, hypervolume: run.hypervolume?.after ?? 0 };
}

/** The frontier of a run as a plot and as a table. */
export function frontierText(run: RunSummary, columns: number): string {
  const plot = frontierPlot(chartOf(run), { columns: Math.min(76, columns), rows: 14 });
  const rows = run.points
    .filter((point) => point.onFrontier)
    .sort((a, b) => a.cost - b.cost)
    .map((point, i) => [
      `frontier:${i + 1}`,
      String(point.step),
      percentWithInterval(point.success, point.successLow, point.successHigh),
      cost(point.cost),
      point.checkpoint ? 'yes' : 'no',
    ]);
  const list = table(
    [
      { title: 'point' },
      { title: 'step', align: 'right' },
      { title: 'success' },
      { title: 'cost', align: 'right' },
      { title: 'saved' },
    ],
    rows,
  );
  return `${plot}\n\n${list}`;
}

/** A finished or stopped run in full. */
export function runText(run: RunSummary, columns: number): string {
  const parts = [
    `run ${run.runId}: ${run.status}, step ${run.step} of ${run.plannedSteps}, ${run.method} on ${run.tasks.join(' + ')}`,
  ];
  if (run.reason) parts.push(run.reason);
  if (run.report) parts.push('', beforeAfter(`on ${run.report.after.n} report problems`, run.report));
  else if (run.selection) parts.push('', beforeAfter(`on ${run.selection.after.n} selection problems`, run.selection));
  if (run.points.length > 0)
    parts.push('', 'Frontier on selection problems (x start, o frontier, . dominated)', '', frontierText(run, columns));
  if (run.hypervolume) {
    parts.push(
      '',
      `hypervolume ${run.hypervolume.before.toFixed(3)} -> ${run.hypervolume.after.toFixed(3)} (success x (1 - cost / ${cost(run.costLimit)}), reference point (0, 0))`,
    );
  }
  parts.push(`every trajectory is in ${run.database}`);
  return parts.join('\n');
}

/** Lines of commands worth trying next. */
export function tryNext(...lines: string[]): string {
  return `\nTry next:\n${lines.map((line) => `  paretune ${line}`).join('\n')}`;
}
