/**
 * When a run must stop to protect the model, and what deserves a warning. Everything here is a rule on numbers that were
 * measured anyway.
 */
import { ParetuneError } from '../../contract/errors.ts';
import type { PolicyPoint, StepMetrics, Trajectory } from '../../contract/records.ts';
import type { RunConfig } from '../../contract/run-config.ts';
import type { RunState } from './run-state.ts';

/**
 * A reason to distrust a whole step's rollouts: most were cut off by the clock, or a tool itself failed in most of those
 * that called one. Null if all is well.
 */
export function checkRollouts(trajectories: readonly Pick<Trajectory, 'stopReason' | 'toolCalls'>[]): string | null {
  const late = trajectories.filter(({ stopReason }) => stopReason === 'time-limit');
  if (late.length * 2 > trajectories.length) {
    return `${late.length} of ${trajectories.length} rollouts ran out of time: the machine slept, is overloaded, or limits.seconds is too low.`;
  }
  const calling = trajectories.filter(({ toolCalls }) => toolCalls.length > 0);
  const broken = calling.filter(({ stopReason }) => stopReason === 'tool-broken');
  if (broken.length * 2 > calling.length) {
    // the call that failed is the last one with an error: those after it never ran
    const names = new Set(broken.map(({ toolCalls }) => toolCalls.findLast(({ status }) => status === 'error')?.name));
    return `The tool ${[...names].join(', ')} failed in ${broken.length} of ${calling.length} rollouts that called a tool. Check it with: paretune tools check.`;
  }
  return null;
}

/** Throws `diverged` where the policy gave a log-probability that is no number: nothing it says can be trusted. */
export function requireNumbers(trajectories: readonly Pick<Trajectory, 'sampledLogprobs' | 'weightsVersion'>[]): void {
  const lost = trajectories.find(({ sampledLogprobs }) => !sampledLogprobs.every(Number.isFinite));
  if (lost === undefined) return;
  throw new ParetuneError(
    'diverged',
    `The model's weights at step ${lost.weightsVersion} give probabilities that are not finite.`,
    {
      hint:
        lost.weightsVersion === 0
          ? 'The model itself is damaged, or its numbers are too large for float32.'
          : 'Lower train.learningRate and start again; the checkpoints before this step are whole.',
    },
  );
}

export type Health = {
  /** why training cannot go on, or null */
  stop: string | null;
  notices: { code: string; message: string }[];
  state: Pick<RunState, 'startEntropy' | 'collapsedSteps'>;
};

/** Entropy below this share of the first step's, with no success left to show for it, is a collapse. */
const COLLAPSED_ENTROPY = 0.05;
const COLLAPSED_SUCCESS = 0.02;
const COLLAPSED_STEPS = 5;

export function checkHealth(state: RunState, metrics: StepMetrics): Health {
  const startEntropy = state.startEntropy ?? metrics.entropy;
  const collapsed = metrics.success < COLLAPSED_SUCCESS && metrics.entropy < COLLAPSED_ENTROPY * startEntropy;
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

/**
 * Why a policy that was just measured ends the run, by the limits of the user's guard, or null. `frontier` are the points
 * before it: the best success so far is always one of them.
 */
export function checkPoint(
  { success, successHigh, klToStart }: Pick<PolicyPoint, 'success' | 'successHigh' | 'klToStart'>,
  frontier: readonly Pick<PolicyPoint, 'step' | 'success'>[],
  guard: RunConfig['guard'],
): string | null {
  if (guard.kl !== null && klToStart !== null && klToStart > guard.kl) {
    return `The policy went too far from its start: KL ${klToStart.toPrecision(3)} nats a token, more than guard.kl = ${guard.kl}. ${WAY_BACK}`;
  }
  const best = frontier.reduce((most, point) => (point.success > most.success ? point : most), { step: 0, success: 0 });
  if (successHigh < guard.success * best.success) {
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
    return `Success collapsed: ${percent(success)} on selection problems (at most ${percent(successHigh)}) after ${percent(best.success)} at step ${best.step}, less than guard.success = ${guard.success} of it. ${WAY_BACK}`;
  }
  return null;
}

const WAY_BACK = 'Take an earlier checkpoint, or a lower train.learningRate in a new run.';
