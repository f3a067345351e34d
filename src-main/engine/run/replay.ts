/**
 * Recomputes the updates of a run from its log: from a checkpoint and the groups of the steps after it, as the database
 * gives them back, to the weights. No rollout is made. On one machine the result is that of the run, bit for bit: the log
 * holds all that an update depends on.
 */
import type { Group } from '../../contract/records.ts';
import type { RunConfig } from '../../contract/run-config.ts';
import { trainable } from '../runtime/policy.ts';
import { tensorMap } from '../runtime/parameters.ts';
import { scheduledRate } from '../train/adamw.ts';
import { hashTensors } from '../train/checkpoint.ts';
import type { Agent } from './agent.ts';
import { newTrainer, restoreTrainer, updatePolicy } from './policy-update.ts';

/** The hash of the trainable weights after each of the steps, in order; `steps` follow the checkpoint without a gap. */
export async function replay(
  agent: Agent,
  config: RunConfig,
  checkpointFolder: string,
  steps: readonly (readonly Group[])[],
  threads: number,
): Promise<string[]> {
  const policy = agent.newPolicy(config.train.parameters === 'lora' ? config.train.lora : null, config.seed);
  const start = agent.newPolicy(config.train.parameters === 'lora' ? config.train.lora : null, config.seed);
  const trainer = newTrainer(config, policy, threads);
  try {
    const { step } = restoreTrainer(trainer, checkpointFolder);
    const hashes: string[] = [];
    for (const [i, groups] of steps.entries()) {
      await updatePolicy({ config, trainer, start }, groups, scheduledRate(config.train, step + i, config.steps));
      hashes.push(hashTensors(tensorMap(trainable(policy))));
    }
    return hashes;
  } finally {
    await trainer.dispose();
  }
}
