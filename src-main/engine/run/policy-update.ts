/**
 * From the groups of a step to new weights: what the training loop does once they are scored, and what a replay does
 * again from the log. It makes no rollout and decides no reward.
 */
import type { Group, ScoredTrajectory } from '../../contract/records.ts';
import { providerOf } from '../../contract/providers.ts';
import type { RunConfig } from '../../contract/run-config.ts';
import { type Policy, trainable } from '../runtime/policy.ts';
import type { TrainRow } from '../train/pack-batch.ts';
import { Trainer, type TrainerSettings, type UpdateMetrics } from '../train/trainer.ts';

/** The trainer that a configuration asks for. */
export function newTrainer(
  { train, limits, provider }: RunConfig,
  policy: Policy,
  threads: number,
  device: Pick<TrainerSettings, 'memory' | 'onFallback'> = {},
): Trainer {
  return new Trainer(policy, {
    ...train,
    objective: {
      clipLow: train.clipLow,
      clipHigh: train.clipHigh,
      delta: train.clipDelta,
      klCoefficient: train.klCoefficient,
      klForm: train.klForm,
      importance: train.importance,
      old: train.updatesPerBatch > 1 ? 'input' : 'current',
    },
    maxTokens: Math.min(limits.tokens, policy.config.maxPositions),
    threads,
    provider: providerOf(provider),
    ...device,
  });
}

/** A trajectory as something to learn from: all its sampled tokens, one advantage. */
export function trainRow({ tokens, segments, advantage }: ScoredTrajectory): TrainRow {
  const trained = segments.flatMap(({ kind, start, end }) =>
    kind === 'model' ? Array.from({ length: end - start }, (_, i) => start + i) : [],
  );
  return { tokens, trained, advantage };
}

/**
 * One step's update (or updates) of the trainer's policy on its groups; `start` is the reference of the KL term. Where a
 * loss or gradient is not finite, or an update fails, weights and moments are those before the step.
 */
export async function updatePolicy(
  { config, trainer, start }: { config: RunConfig; trainer: Trainer; start: Policy },
  groups: readonly Group[],
  learningRate: number,
): Promise<UpdateMetrics> {
  const { klCoefficient, updatesPerBatch } = config.train;
  let rows: TrainRow[] = groups.flatMap((group) => group.trajectories.map(trainRow));
  if (klCoefficient > 0) {
    const { logprobs } = await trainer.score(rows, start);
    rows = rows.map((row, i) => ({ ...row, referenceLogprobs: [...logprobs[i]] }));
  }
  if (updatesPerBatch === 1) return trainer.update(rows, learningRate);

  const { logprobs } = await trainer.score(rows);
  rows = rows.map((row, i) => ({ ...row, oldLogprobs: [...logprobs[i]] }));
  const goBack = rememberTrainer(trainer);
  try {
    let metrics = await trainer.update(rows, learningRate);
    for (let update = 1; update < updatesPerBatch && wentThrough(metrics); update++) {
      metrics = { ...(await trainer.update(rows, learningRate)), logprobs: metrics.logprobs };
    }
    if (!wentThrough(metrics)) await goBack();
    return metrics;
  } catch (error) {
    // a GPU that is gone may refuse to let go of its copies
    await goBack().catch(() => {});
    throw error;
  }
}

/** Whether an update went through. */
export function wentThrough({ loss, gradNorm }: Pick<UpdateMetrics, 'loss' | 'gradNorm'>): boolean {
  return Number.isFinite(loss) && Number.isFinite(gradNorm);
}

/** What puts weights and moments back to where they are now. */
function rememberTrainer(trainer: Trainer): () => Promise<void> {
  const { policy, optimizer } = trainer;
  const { flat } = trainable(policy);
  const [weights, m, v] = [flat, optimizer.m, optimizer.v].map((values) => values.slice());
  const { updates } = optimizer;
  return async () => {
    flat.set(weights);
    optimizer.m.set(m);
    optimizer.v.set(v);
    optimizer.updates = updates;
    await trainer.changed();
  };
}
