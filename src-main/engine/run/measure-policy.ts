/** Measures a policy on a split outside of a run: what `eval`, the demo and an export's card say of a checkpoint. */
import { ParetuneError } from '../../contract/errors.ts';
import type { PolicyPoint, Split } from '../../contract/records.ts';
import type { RunConfig } from '../../contract/run-config.ts';
import { hash32 } from '../base/random.ts';
import { DecodeEngine } from '../rollout/decode-engine.ts';
import type { Policy } from '../runtime/policy.ts';
import type { Environment } from './environment.ts';
import { type EvaluatedTrajectory, policyPoint, rollOut } from './evaluate.ts';

export type MeasureOptions = {
  split: Split;
  /** problems of each task */
  problems: number;
  sampling: PolicyPoint['sampling'];
  step: number;
  threads: number;
  clock: () => number;
  signal?: AbortSignal;
};

/** Problems rolled out together: how often progress is told and a stop is looked for. */
const CHUNK = 512;

/** The evaluation draws of a run's seed: the same for every policy, so that differences are paired. */
export function evaluationSeed(seed: number): number {
  return hash32(`evaluation ${seed}`);
}

/** One trajectory for each problem of a split, and the point they make. `onProgress` is told the problems done. */
export async function measurePolicy(
  policy: Policy,
  environment: Environment,
  config: Pick<RunConfig, 'limits' | 'prices' | 'rolloutBatch' | 'seed'>,
  options: MeasureOptions,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<{ point: PolicyPoint; trajectories: EvaluatedTrajectory[] }> {
  const problems = environment.problems(options.split, options.problems, 0);
  const maxTokens = Math.min(config.limits.tokens, policy.config.maxPositions);
  const engine = new DecodeEngine(policy, { threads: options.threads, maxTokens });
  const trajectories: EvaluatedTrajectory[] = [];
  try {
    for (let start = 0; start < problems.length; start += CHUNK) {
      if (options.signal?.aborted) {
        throw new ParetuneError('interrupted', 'Stopped before all problems were tried.');
      }
      const part = await rollOut(environment, engine, problems.slice(start, start + CHUNK), {
        limits: { ...config.limits, tokens: maxTokens },
        batch: config.rolloutBatch,
        seed: evaluationSeed(config.seed),
        step: 0,
        sampling: options.sampling,
        temperature: 1,
        prices: config.prices,
        weightsVersion: options.step,
        clock: options.clock,
        signal: options.signal,
      });
      trajectories.push(...part);
      onProgress(trajectories.length, problems.length);
    }
  } finally {
    await engine.dispose();
  }
  const { split, sampling, step } = options;
  return { point: policyPoint(trajectories, { step, split, sampling, klToStart: null }), trajectories };
}
