/**
 * When a run must stop to protect the model, and what deserves a warning. Everything here is a rule on numbers that were
 * measured anyway.
 */
import type { StepMetrics, Trajectory } from '../../contract/records.ts';
import type { RunState } from './run-state.ts';

/** A reason to distrust a whole step's rollouts: most were cut off by the clock or by a broken tool. Null if all is well. */
export function checkRollouts(trajectories: readonly Pick<Trajectory, 'stopReason'>[]): string | null {
  const count = (reason: Trajectory['stopReason']) =>
    trajectories.filter((trajectory) => trajectory.stopReason === reason).length;
  const late = count('time-limit');
  const broken = count('tool-broken');
  if (late * 2 > trajectories.length) {
    return `${late} of ${trajectories.length} rollouts ran out of time: the machine slept, is overloaded, or limits.seconds is too low.`;
  }
  if (broken * 2 > trajectories.length) {
    return `A tool failed in ${broken} of ${trajectories.length} rollouts. Check it with: paretune tools check.`;
  }
  return null;
}

export type Health = {
  /** why training cannot go on, or null */
  stop: string | null;
  notices: { code: string; message: string }[];
  state: Pick<RunState, 'startEntropy' | 'collapsedSteps'>;
};

/** Entropy below this share of the first step's, with no success left to show for it, is a collapse. */
const COLLAPSED_ENTROPY = 0.01;
const COLLAPSED_SUCCESS = 0.02;
const COLLAPSED_STEPS = 5;

export function checkHealth(state: RunState, metrics: StepMetrics): Health {
  const startEntropy = state.startEntropy ?? metrics.entropy;
  const collapsed =
    metrics.success < COLLAPSED_SUCCESS && metrics.gradNorm > 0 && metrics.entropy < COLLAPSED_ENTROPY * startEntropy;
  const collapsedSteps = collapsed ? state.collapsedSteps + 1 : 0;
  const notices: Health['notices'] = [];
  if (metrics.toolFailureShare > 0.5 && metrics.calls > 0.05) {
    const share = Math.round(metrics.toolFailureShare * 100);
    notices.push({ code: 'tool-failures', message: `${share} % of the tool calls failed in this step.` });
  }
  if (metrics.groupsAllWrong === 1) {
    notices.push({
      code: 'no-success',
      message: 'No problem of this step was solved: there is nothing to learn from yet.',
    });
  }
  return { stop: reasonToStop(metrics, collapsedSteps), notices, state: { startEntropy, collapsedSteps } };
}

function reasonToStop(metrics: StepMetrics, collapsedSteps: number): string | null {
  if (!Number.isFinite(metrics.loss) || !Number.isFinite(metrics.gradNorm)) {
    return `The loss became ${metrics.loss} and the gradient ${metrics.gradNorm}; the weights are those before this step. Lower train.learningRate.`;
  }
  if (collapsedSteps >= COLLAPSED_STEPS) {
    return `The policy collapsed: entropy ${metrics.entropy.toExponential(1)} nats a token and no success for ${collapsedSteps} steps. Take an earlier checkpoint and a lower train.learningRate.`;
  }
  return null;
}
