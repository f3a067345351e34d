/** The weights and moments of a trainer as a checkpoint, with what else its owner must remember; and back. */
import type { Json } from '../../contract/records.ts';
import type { CheckpointRecord } from '../../contract/run-events.ts';
import { elementCount, makeParameters, tensorMap } from '../runtime/parameters.ts';
import { type Policy, trainable } from '../runtime/policy.ts';
import type { AdamWState } from '../train/adamw.ts';
import { loadCheckpoint, saveCheckpoint } from '../train/checkpoint.ts';
import { fillTrainable, tensorFiles } from './load-policy.ts';

/** What an update changes: a Trainer is one. */
export type Trained = { policy: Policy; optimizer: AdamWState };

/** What is remembered of the optimizer beside its moments. */
type Remembered = { optimizerUpdates: number };

/** Saves below `folder`, durably; errors as saveCheckpoint's. */
export function saveTrained<State extends Remembered>(
  folder: string,
  { policy, optimizer: { m, v } }: Trained,
  step: number,
  state: State,
): CheckpointRecord {
  const parameters = trainable(policy);
  const momentsOf = (values: Float32Array) => tensorMap(makeParameters(parameters.specs, values));
  const moments = { first: momentsOf(m), second: momentsOf(v) };
  const content = { step, weights: tensorMap(parameters), moments, state: state as unknown as Json };
  return saveCheckpoint(folder, content, tensorFiles);
}

/** Puts weights and optimizer where a checkpoint folder was, and answers with what its owner remembered. */
export function restoreTrained<State extends Remembered>({ policy, optimizer }: Trained, folder: string): State {
  const { weights, moments, state } = loadCheckpoint(folder, tensorFiles);
  fillTrainable(policy, weights, folder);
  let offset = 0;
  for (const { name, shape } of trainable(policy).specs) {
    optimizer.m.set(moments.first.get(name)!.data, offset);
    optimizer.v.set(moments.second.get(name)!.data, offset);
    offset += elementCount(shape);
  }
  const restored = state as unknown as State;
  optimizer.updates = restored.optimizerUpdates;
  return restored;
}
