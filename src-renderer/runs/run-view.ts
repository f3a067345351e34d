/**
 * A run as the window shows it: the fold of its events. What is read from the store and what the feed tells later give the
 * same record, so that history and live view are one. A large run is shown before all of it is read: the summary has its
 * points, which is what the frontier needs; steps come after. Pure; not here: reading, drawing.
 */
import type { PolicyPoint, StepMetrics } from '../../src-main/contract/records.ts';
import type { RunConfig } from '../../src-main/contract/run-config.ts';
import type { RunEvent, RunFacts, RunStatus } from '../../src-main/contract/run-events.ts';
import type {
  EvaluationRow,
  NoticeRow,
  RunDetail,
  StepRow,
} from '../../src-main/contract/window-records.ts';

export type ViewPoint = PolicyPoint & { hypervolume: number; checkpoint: boolean };
export type ViewStep = { step: number; metrics: StepMetrics };
export type ViewNotice = { step: number; level: 'info' | 'warning'; code: string; message: string };

export type RunView = {
  runId: string;
  config: RunConfig;
  facts: RunFacts;
  status: RunStatus;
  reason: string;
  /** last step that counts */
  step: number;
  steps: ViewStep[];
  /** all measured policies in order, of every split and sampling */
  points: ViewPoint[];
  notices: ViewNotice[];
  /** in force now */
  prices: Record<string, number>;
  priceChanges: { step: number; prices: Record<string, number> }[];
  attempts: number;
  /** what its newest stored trajectories called, by name */
  tools: string[];
  /** whether all of it is here: a summary has no steps, and of the points only those that the frontier is made of */
  complete: boolean;
};

/** What the store holds of a run, as the calls of the contract answer it. */
export type StoredView = {
  detail: RunDetail;
  evaluations: EvaluationRow[];
  steps: StepRow[];
  notices: NoticeRow[];
};

const counts = ({ supersededBy }: { supersededBy: number | null }) => supersededBy === null;

/** A run from what is stored; rows of superseded attempts and dropped checkpoints do not count. */
export function viewOfStored({ detail, evaluations, steps, notices }: StoredView): RunView {
  return {
    ...viewOfSummary(detail),
    steps: steps.filter(counts).map(({ step, metrics }) => ({ step, metrics })),
    points: evaluations
      .filter(counts)
      .map(({ point, hypervolume, checkpoint }) => ({ ...point, hypervolume, checkpoint: checkpoint !== null })),
    notices: notices.filter(counts).map(({ step, level, code, message }) => ({ step, level, code, message })),
    complete: true,
  };
}

/** The same before its rows are read; its points have no breakdown. */
export function viewOfSummary({ summary, config, facts, tools, attempts, ...detail }: RunDetail): RunView {
  const priceChanges = detail.priceChanges.filter(counts).map(({ step, prices }) => ({ step, prices }));
  return {
    runId: summary.runId,
    config,
    facts,
    status: summary.status,
    reason: summary.reason,
    step: summary.step,
    steps: [],
    points: summary.points.map(({ onFrontier: _, ...point }) => ({ ...point, breakdown: {} })),
    notices: [],
    prices: { ...config.prices, ...priceChanges.at(-1)?.prices },
    priceChanges,
    attempts: attempts.length,
    tools,
    complete: false,
  };
}

/** A run at its first event. */
export function viewOfStart({ runId, config, facts }: Extract<RunEvent, { kind: 'started' }>): RunView {
  return {
    runId,
    config,
    facts,
    status: 'running',
    reason: '',
    step: 0,
    steps: [],
    points: [],
    notices: [],
    prices: { ...config.prices },
    priceChanges: [],
    attempts: 1,
    tools: [],
    complete: true,
  };
}

/** The view after events of the same run, in order. One that is known already changes nothing: a read and the feed may overlap. */
export function withEvents(view: RunView, events: readonly RunEvent[]): RunView {
  let now = view;
  // steps are many: those that come together are taken in with one copy of the list
  let steps: ViewStep[] = [];
  const flush = () => {
    if (steps.length > 0) now = { ...now, step: Math.max(now.step, steps[steps.length - 1].step), steps: now.steps.concat(steps) };
    steps = [];
  };
  for (const event of events) {
    if (event.runId !== view.runId) continue;
    if (event.kind === 'step') {
      const { step, metrics } = event;
      if (step > ((steps.at(-1) ?? now.steps.at(-1))?.step ?? -1)) steps.push({ step, metrics });
    } else {
      flush();
      now = withRareEvent(now, event);
    }
  }
  flush();
  return now;
}

/** The view after one more event. */
export function withEvent(view: RunView, event: RunEvent): RunView {
  return withEvents(view, [event]);
}

function withRareEvent(view: RunView, event: Exclude<RunEvent, { kind: 'step' }>): RunView {
  switch (event.kind) {
    case 'started':
      return view.steps.length > 0 || view.points.length > 0 ? view : viewOfStart(event);
    case 'resumed': {
      const until = <T extends { step: number }>(rows: T[]) => rows.filter(({ step }) => step <= event.fromStep);
      return {
        ...view,
        status: 'running',
        reason: '',
        step: event.fromStep,
        attempts: Math.max(view.attempts, event.attempt),
        steps: until(view.steps),
        points: until(view.points),
        notices: until(view.notices),
        priceChanges: until(view.priceChanges),
        prices: { ...view.config.prices, ...until(view.priceChanges).at(-1)?.prices },
      };
    }
    case 'evaluated': {
      const { point, hypervolume } = event;
      const known = view.points.some(
        ({ step, split, sampling }) => step === point.step && split === point.split && sampling === point.sampling,
      );
      return known ? view : { ...view, points: [...view.points, { ...point, hypervolume, checkpoint: false }] };
    }
    case 'checkpoint': {
      const dropped = new Set(event.dropped);
      const checkpoint = (point: ViewPoint) =>
        (point.checkpoint || point.step === event.checkpoint.step) && !dropped.has(point.step);
      return { ...view, points: view.points.map((point) => ({ ...point, checkpoint: checkpoint(point) })) };
    }
    case 'notice': {
      const { step, level, code, message } = event;
      const known = view.notices.some((notice) => notice.step === step && notice.code === code);
      return known ? view : { ...view, notices: [...view.notices, { step, level, code, message }] };
    }
    case 'prices': {
      const same = JSON.stringify(event.prices);
      if (view.priceChanges.some(({ step, prices }) => step === event.step && JSON.stringify(prices) === same)) return view;
      return {
        ...view,
        prices: { ...view.prices, ...event.prices },
        priceChanges: [...view.priceChanges, { step: event.step, prices: event.prices }],
      };
    }
    case 'ended':
      return { ...view, status: event.status, reason: event.reason };
  }
}

/** The policies that the frontier is made of: selection split, sampled, up to a step. */
export function frontierPoints(view: Pick<RunView, 'points'>, untilStep = Number.POSITIVE_INFINITY): ViewPoint[] {
  return view.points.filter(
    ({ split, sampling, step }) => split === 'selection' && sampling === 'sampled' && step <= untilStep,
  );
}

/** First step of stage 2, or null where the method has no stages or one of them is empty. */
export function stageBoundary({ config: { method, paretopo, steps } }: RunView): number | null {
  if (method !== 'paretopo' && method !== 'paretopo-printed') return null;
  const boundary = Math.round(paretopo.stage1Fraction * steps);
  return boundary > 0 && boundary < steps ? boundary : null;
}

/** Seconds of a step (mean of the last ten) and seconds left; null before the first step. */
export function pace({ steps, step, config }: RunView): { secondsPerStep: number; secondsLeft: number } | null {
  const recent = steps.slice(-10);
  if (recent.length === 0) return null;
  const secondsPerStep = recent.reduce((sum, { metrics }) => sum + metrics.stepMs, 0) / recent.length / 1000;
  return { secondsPerStep, secondsLeft: Math.max(0, config.steps - step) * secondsPerStep };
}
