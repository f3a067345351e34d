/** The policy that a checkpoint of a run holds: for evaluation, export and chat. */
import { ParetuneError } from '../../contract/errors.ts';
import type { RunConfig } from '../../contract/run-config.ts';
import { type Policy, trainable } from '../runtime/policy.ts';
import { loadCheckpoint, type TensorFiles } from '../train/checkpoint.ts';
import { openSafetensors, readFloatTensor, writeSafetensors } from '../weights/safetensors.ts';
import type { Agent } from './agent.ts';

/** Checkpoint tensors as .safetensors files, which any tool can open. */
export const tensorFiles: TensorFiles = {
  write: (path, tensors) => writeSafetensors(path, tensors),
  read(path) {
    const file = openSafetensors(path);
    return new Map([...file.tensors.keys()].map((name) => [name, readFloatTensor(file, name)]));
  },
};

/** The run's model with the weights of a checkpoint folder in place. */
export function loadPolicy(agent: Agent, config: RunConfig, folder: string): Policy {
  const policy = agent.newPolicy(config.train.parameters === 'lora' ? config.train.lora : null, config.seed);
  fillTrainable(policy, loadCheckpoint(folder, tensorFiles).weights, folder);
  return policy;
}

/** Copies named tensors into what training changes of a policy. Throws `bad-file` where one is missing. */
export function fillTrainable(
  policy: Policy,
  tensors: ReadonlyMap<string, { data: Float32Array }>,
  folder: string,
): void {
  const { specs, tensors: target } = trainable(policy);
  for (const { name } of specs) {
    const found = tensors.get(name);
    if (found?.data.length !== target[name].data.length) {
      throw new ParetuneError('bad-file', `The checkpoint ${folder} has no tensor ${name} of the right size.`, {
        hint: 'It belongs to another model or configuration; use it with the run that made it.',
      });
    }
    target[name].data.set(found.data);
  }
}
