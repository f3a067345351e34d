/**
 * Recomputes the updates of a run from its log: from a checkpoint and the groups of the steps after it, as the database
 * gives them back, to the weights. No rollout is made. On one machine and provider the result is that of the run, bit for
 * bit: the log holds all that an update depends on. On another provider it is near (tests/webgpu/replay).
 */
import type { Group } from '../../contract/records.ts';
import type { RunConfig } from '../../contract/run-config.ts';
import { trainable } from '../runtime/policy.ts';
import { tensorMap } from '../runtime/parameters.ts';
import { scheduledRate } from '../train/adamw.ts';
import { hashTensors } from '../train/checkpoint.ts';
import type { UpdateMetrics } from '../train/trainer.ts';
import type { Agent } from './agent.ts';
import { newTrainer, updatePolicy } from './policy-update.ts';
import type { RunState } from './run-state.ts';
import { restoreTrained } from './trainer-checkpoint.ts';

/** An update that was made again: what it measured, and the hash of the trainable weights after it. */
export type Replayed = { metrics: UpdateMetrics; weightsHash: string };

/** The updates of the steps, in order; `steps` follow the checkpoint without a gap. The configuration says who computes. */
export async function replay(
  agent: Agent,
  config: RunConfig,
  checkpointFolder: string,
  steps: readonly (readonly Group[])[],
  threads: number,
): Promise<Replayed[]> {
  const policy = agent.newPolicy(config.train.parameters === 'lora' ? config.train.lora : null, config.seed);
  const start = agent.newPolicy(config.train.parameters === 'lora' ? config.train.lora : null, config.seed);
  const trainer = newTrainer(config, policy, threads);
  try {
    const { step } = restoreTrained<RunState>(trainer, checkpointFolder);
    const replayed: Replayed[] = [];
    for (const [i, groups] of steps.entries()) {
      const rate = scheduledRate(config.train, step + i, config.steps);
      const metrics = await updatePolicy({ config, trainer, start }, groups, rate);
      replayed.push({ metrics, weightsHash: hashTensors(tensorMap(trainable(policy))) });
    }
    return replayed;
  } finally {
    await trainer.dispose();
  }
}
