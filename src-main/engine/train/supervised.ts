/**
 * Supervised training on demonstrations: the negative log-likelihood of what the model should have written, and of
 * nothing else. The warm start of a real model, and all of a starter agent's schooling. An async generator, so that the
 * caller shows progress, stops it or saves between two updates.
 */
import { ParetuneError } from '../../contract/errors.ts';
import { randomStream } from '../base/random.ts';
import { type Policy, trainable } from '../runtime/policy.ts';
import { type AdamWState, adamwState, scheduledRate } from './adamw.ts';
import type { TrainRow } from './pack-batch.ts';
import { Trainer } from './trainer.ts';

export type SupervisedSettings = {
  steps: number;
  batchSize: number;
  learningRate: number;
  warmupSteps: number;
  schedule: 'constant' | 'cosine';
  beta1: number;
  beta2: number;
  weightDecay: number;
  maxGradNorm: number;
  maxTokens: number;
  microBatchTokens: number;
  threads: number;
  seed: number;
};

export const supervisedDefaults: SupervisedSettings = {
  steps: 200,
  batchSize: 64,
  learningRate: 1e-3,
  warmupSteps: 20,
  schedule: 'cosine',
  beta1: 0.9,
  beta2: 0.98,
  weightDecay: 0.01,
  maxGradNorm: 1,
  maxTokens: 160,
  microBatchTokens: 2048,
  threads: 0,
  seed: 0,
};

/** `step` counts from 1 as done; loss is the mean over trained tokens, nats. */
export type SupervisedStep = { step: number; loss: number; gradNorm: number; tokens: number };

/** A demonstration as tokens, with 1 where the model must write (text/chat-format.ts). */
export type EncodedDemonstration = { tokens: readonly number[]; mask: readonly number[] };

/** A row to train on; null where it is too long or has nothing to learn. */
export function supervisedRow({ tokens, mask }: EncodedDemonstration, maxTokens: number): TrainRow | null {
  const trained = mask.flatMap((target, t) => (target === 1 && t > 0 ? [t] : []));
  return tokens.length > maxTokens || trained.length === 0 ? null : { tokens, trained, advantage: 1 };
}

/**
 * Trains the policy in place, in shuffled passes over the rows; `begun` is a training of which so many steps are done, with the
 * optimizer that made them, and moves on with it. Throws `diverged` when the loss is no longer a number.
 */
export async function* trainSupervised(
  policy: Policy,
  rows: readonly TrainRow[],
  settings: SupervisedSettings,
  begun: { steps: number; optimizer: AdamWState } = { steps: 0, optimizer: adamwState(trainable(policy).flat.length) },
): AsyncGenerator<SupervisedStep, void> {
  if (rows.length === 0) {
    throw new ParetuneError('bad-data', 'There is no demonstration to learn from.', {
      hint: `Demonstrations longer than ${settings.maxTokens} tokens are left out; raise the limit or shorten them.`,
    });
  }
  const trainer = new Trainer(policy, {
    ...settings,
    epsilon: 1e-8,
    objective: 'supervised',
    aggregation: 'batch-token',
  });
  trainer.optimizer = begun.optimizer;
  try {
    let order: TrainRow[] = [];
    for (let step = 0, pass = 0; step < settings.steps; step++) {
      while (order.length < settings.batchSize) {
        order = [...order, ...randomStream(settings.seed, 'supervised', pass++).shuffle(rows)];
      }
      const batch = order.slice(0, settings.batchSize);
      order = order.slice(settings.batchSize);
      if (step < begun.steps) continue;
      const metrics = await trainer.update(batch, scheduledRate(settings, step, settings.steps));
      if (!Number.isFinite(metrics.loss)) {
        throw new ParetuneError('diverged', `The loss became ${metrics.loss} in supervised step ${step + 1}.`, {
          hint: `Use a lower learning rate than ${settings.learningRate}.`,
        });
      }
      yield { step: step + 1, loss: metrics.loss, gradNorm: metrics.gradNorm, tokens: metrics.tokens };
    }
  } finally {
    await trainer.dispose();
  }
}
