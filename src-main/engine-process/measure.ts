/** Measures an open policy for a command: progress, threads and the stop signal are the command's. */
import type { PolicyPoint, Split } from '../contract/records.ts';
import type { RunConfig } from '../contract/run-config.ts';
import type { Environment } from '../engine/run/environment.ts';
import type { EvaluatedTrajectory } from '../engine/run/evaluate.ts';
import { measurePolicy } from '../engine/run/measure-policy.ts';
import type { OpenPolicy } from './agents.ts';
import type { CommandContext } from './command.ts';
import { threadsOf } from './threads.ts';

/** `problems` of each task, one trajectory each; `label` stands in front of the progress. */
export function measure(
  { policy, step }: Pick<OpenPolicy, 'policy' | 'step'>,
  environment: Environment,
  config: RunConfig,
  what: { split: Split; problems: number; sampling: PolicyPoint['sampling'] },
  label: string,
  context: Pick<CommandContext, 'progress' | 'signal'>,
): Promise<{ point: PolicyPoint; trajectories: EvaluatedTrajectory[] }> {
  const options = {
    ...what,
    step: step ?? 0,
    threads: threadsOf(config.threads),
    clock: () => performance.now(),
    signal: context.signal,
  };
  return measurePolicy(policy, environment, config, options, (done, total) =>
    context.progress({ label, done, total, note: 'problems' }),
  );
}
