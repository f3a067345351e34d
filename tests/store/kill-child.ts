/**
 * The process that kill.slow.test.ts kills: goes on with run `r` from its last checkpoint, then appends steps and saves
 * checkpoints until it dies, and says what is committed only after it is. Arguments: the data folder.
 */
import { writeSync } from 'node:fs';
import {
  type CheckpointContent,
  listCheckpoints,
  loadCheckpoint,
  pruneCheckpoints,
  saveCheckpoint,
  type TensorFiles,
} from '../../src-main/engine/train/checkpoint.ts';
import { openSafetensors, readFloatTensor, writeSafetensors } from '../../src-main/engine/weights/safetensors.ts';
import { openStore, runFolder } from '../../src-main/store/open-store.ts';
import { started, stepEvent } from './samples.ts';

export const tensorFiles: TensorFiles = {
  write: (path, tensors) => writeSafetensors(path, tensors),
  read(path) {
    const file = openSafetensors(path);
    return new Map([...file.tensors.keys()].map((name) => [name, readFloatTensor(file, name)]));
  },
};

/** What a checkpoint of a step holds: a function of the step, so that the test can tell it from any other. */
export function contentOf(step: number): CheckpointContent {
  const tensors = (shift: number) =>
    new Map([['w', { shape: [64, 64], data: Float32Array.from({ length: 4096 }, (_, i) => step + shift + i / 4096) }]]);
  return { step, weights: tensors(0), moments: { first: tensors(0.25), second: tensors(0.5) }, state: { step } };
}

export const everySteps = 5;

function work(dataFolder: string): void {
  const say = (line: string) => writeSync(1, `${line}\n`);
  const store = openStore(dataFolder, { mode: 'write' });
  const folder = runFolder(dataFolder, 'r');
  let step = 0;
  if (store.listRuns().length === 0) store.append(started('r'));
  else {
    const last = store.checkpoints('r').at(-1)?.checkpoint;
    if (last !== undefined) step = loadCheckpoint(`${folder}/${last.folder}`, tensorFiles).step;
    store.resumeRun('r', step);
  }
  say(`open ${step}`);
  for (;;) {
    step++;
    store.append(stepEvent('r', step, 8, 8));
    say(`step ${step}`);
    if (step % everySteps !== 0) continue;
    const checkpoint = saveCheckpoint(folder, contentOf(step), tensorFiles);
    // First the database forgets a checkpoint, then its folder goes: what the database offers is always there.
    const keep = new Set([step, step - everySteps]);
    const dropped = listCheckpoints(folder)
      .filter((one) => !keep.has(one.step))
      .map((one) => one.step);
    store.append({ kind: 'checkpoint', runId: 'r', checkpoint, dropped });
    say(`checkpoint ${step}`);
    pruneCheckpoints(folder, keep);
  }
}

if (process.argv[1] === import.meta.filename) work(process.argv[2]);
