/**
 * How far a run or another long command has come, as one line. `followRun` folds events into a small record, `runLine`
 * words it; `showProgress` keeps the line in place on a terminal and prints plain lines, at most one a second, elsewhere.
 * All numbers are those of the last step, not smoothed.
 */
import type { RunEvent } from '../contract/run-events.ts';
import type { Progress } from '../engine-process/protocol.ts';
import { cost, count, duration, percent } from './table.ts';

export type RunView = {
  /** tasks and method, before the numbers */
  name: string;
  totalSteps: number;
  /** steps that are done; the first this process made, for the pace */
  step: number;
  firstStep: number;
  startedAtMs: number;
  nowMs: number;
  success: number;
  cost: number;
  calls: number;
  hypervolume: number | null;
  tokensPerSecond: number;
};

/** The view after one more event. `nowMs` is a steady clock; undefined until the run has started. */
export function followRun(view: RunView | undefined, event: RunEvent, nowMs: number): RunView | undefined {
  if (event.kind === 'started') {
    return {
      name: `${event.config.tasks.map(shortName).join('+')} ${event.config.method}`,
      totalSteps: event.config.steps,
      step: 0,
      firstStep: 0,
      startedAtMs: nowMs,
      nowMs,
      success: Number.NaN,
      cost: Number.NaN,
      calls: Number.NaN,
      hypervolume: null,
      tokensPerSecond: Number.NaN,
    };
  }
  if (view === undefined) return undefined;
  if (event.kind === 'resumed') return { ...view, step: event.fromStep, firstStep: event.fromStep, nowMs };
  if (event.kind === 'evaluated') {
    // the run's hypervolume is that of the frontier; other splits and greedy points stand beside it
    const ofFrontier = event.point.split === 'selection' && event.point.sampling === 'sampled';
    return ofFrontier ? { ...view, hypervolume: event.hypervolume, nowMs } : view;
  }
  if (event.kind !== 'step') return view;
  const { metrics } = event;
  return {
    ...view,
    step: event.step,
    nowMs,
    success: metrics.success,
    cost: metrics.cost,
    calls: metrics.calls,
    tokensPerSecond: (1000 * metrics.sampledTokens) / metrics.stepMs,
  };
}

/** `step 34/60  success 81.2 %  cost 0.92  hypervolume 0.731  4,210 tokens/s  2 min left` */
export function runLine(view: RunView): string {
  const parts = [view.name, `step ${view.step}/${view.totalSteps}`];
  if (Number.isFinite(view.success)) parts.push(`success ${percent(view.success)}`, `cost ${cost(view.cost)}`);
  if (view.hypervolume !== null) parts.push(`hypervolume ${view.hypervolume.toFixed(3)}`);
  if (Number.isFinite(view.tokensPerSecond)) parts.push(`${count(view.tokensPerSecond)} tokens/s`);
  const done = view.step - view.firstStep;
  if (done > 0) {
    const perStep = (view.nowMs - view.startedAtMs) / done;
    parts.push(`${duration(perStep * (view.totalSteps - view.step))} left`);
  }
  return parts.join('  ');
}

/** `loading the corpus  1,200/66,000 (2 %)  rows` */
export function progressLine({ label, done, total, note, secondsLeft }: Progress): string {
  const parts = [label];
  if (total > 0) parts.push(`${count(done)}/${count(total)} (${Math.floor((100 * done) / total)} %)`);
  else if (done > 0) parts.push(count(done));
  if (note) parts.push(note);
  if (secondsLeft !== undefined) parts.push(`about ${duration(1000 * secondsLeft)} left`);
  return parts.join('  ');
}

function shortName(task: string): string {
  return task.split(/[\\/]/).at(-1) ?? task;
}

/** Where progress goes: standard error, so that standard output holds only the result. */
export type ProgressScreen = {
  write(text: string): void;
  isTerminal: boolean;
  /** asked anew for each line: a window can be resized */
  columns(): number;
  nowMs(): number;
};

export type ShowProgress = {
  /** replaces the line that is shown */
  line(text: string): void;
  /** a lasting line above it */
  note(text: string): void;
  /** leaves a clean screen (a terminal) or the last line (elsewhere) */
  end(): void;
};

const plainEveryMs = 1000;

export function showProgress(screen: ProgressScreen): ShowProgress {
  let shown = '';
  let pending = '';
  let lastMs = Number.NEGATIVE_INFINITY;
  const clear = () => {
    if (screen.isTerminal && shown !== '') screen.write('\r\x1b[K');
  };
  const draw = (text: string) => {
    const fitting = text.slice(0, Math.max(10, screen.columns() - 1));
    screen.write(screen.isTerminal ? `\r${fitting}\x1b[K` : `${text}\n`);
    shown = text;
    pending = '';
    lastMs = screen.nowMs();
  };
  return {
    line(text) {
      pending = text;
      if (text !== shown && (screen.isTerminal || screen.nowMs() - lastMs >= plainEveryMs)) draw(text);
    },
    note(text) {
      clear();
      screen.write(`${text}\n`);
      if (screen.isTerminal && shown !== '') draw(shown);
    },
    end() {
      if (!screen.isTerminal && pending !== '' && pending !== shown) draw(pending);
      clear();
      shown = '';
      pending = '';
    },
  };
}
