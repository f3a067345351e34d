/** What a run's last steps say that a person should act on. Pure. */
import type { RunView } from '../runs/run-view.ts';
import { formatNumber, formatPercent } from '../ui/scales.ts';
import { words } from '../words.ts';

export type Banner = { id: string; text: string; kind: 'warning' | 'error' | 'note'; resume: boolean };

/** Banners for what holds now: the mean of the last five steps, the engine's own warnings of them, and how the run ended. */
export function bannersOf(view: RunView): Banner[] {
  const recent = view.steps.slice(-5).map(({ metrics }) => metrics);
  const mean = (pick: (m: (typeof recent)[number]) => number) => recent.reduce((sum, m) => sum + pick(m), 0) / recent.length;
  const banners: Banner[] = [];
  const warn = (id: string, text: string) => banners.push({ id, text, kind: 'warning', resume: false });
  if (view.status === 'failed') banners.push({ id: 'failed', text: `${words.banners.failed} ${view.reason}`, kind: 'error', resume: true });
  if (view.status === 'stopped') banners.push({ id: 'stopped', text: `${words.banners.stopped} ${view.reason}`, kind: 'note', resume: true });
  if (view.status === 'finished') {
    const report = view.points.filter(({ split, sampling }) => split === 'report' && sampling === 'sampled');
    const [first, last] = [report[0], report.at(-1)];
    if (first && last && first !== last) {
      const success = `${formatPercent(first.success)} → ${formatPercent(last.success)}`;
      const cost = `${formatNumber(first.cost)} → ${formatNumber(last.cost)}`;
      banners.push({ id: 'finished', text: words.banners.finished(success, cost, last.n), kind: 'note', resume: false });
    }
  }
  if (recent.length === 0 || !view.complete) return banners;
  if (view.steps.every(({ metrics }) => metrics.success === 0)) warn('no-success', words.banners.noSuccess);
  if (mean((m) => m.toolFailureShare) > 0.5) warn('tool-fails', words.banners.toolFails(formatPercent(mean((m) => m.toolFailureShare), 0)));
  if (mean((m) => m.groupsWithoutSpread) > 0.7) warn('no-spread', words.banners.noSpread(formatPercent(mean((m) => m.groupsWithoutSpread), 0)));
  const since = view.step - 5;
  for (const { step, level, code, message } of view.notices.slice(-3)) {
    if (level === 'warning' && step >= since) warn(`notice ${code}`, message);
  }
  return banners;
}
