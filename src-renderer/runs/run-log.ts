/** What happened in a run besides steps and measurements, in order: notices, new prices, its end. Pure. */
import { words } from '../words.ts';
import type { RunView } from './run-view.ts';

export type LogRow = { step: number; level: 'info' | 'warning' | 'error'; text: string };

/** By step; what happened at the same step stays in the order notices, prices, end. */
export function runLog({ notices, priceChanges, status, reason, step }: RunView): LogRow[] {
  const rows: LogRow[] = [
    ...notices.map(({ step, level, message }) => ({ step, level, text: message })),
    ...priceChanges.map(({ step, prices }) => ({
      step,
      level: 'info' as const,
      text: words.log.prices(Object.entries(prices).map(([tool, price]) => `${tool} ${price}`).join(', ')),
    })),
  ];
  if (status !== 'running') {
    const text = `${words.status[status]}${reason && `: ${reason}`}`;
    rows.push({ step, level: status === 'failed' ? 'error' : 'info', text });
  }
  return rows.sort((a, b) => a.step - b.step);
}
