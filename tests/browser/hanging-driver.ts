/** The engine process with a GPU that is none, whose driver hangs in a training step of the fourth step: main.ts is the real one. */
import * as ort from 'onnxruntime-node';
import { onNoDevice } from '../run/fake-device.ts';

/** Runs of the training graph: two of the numerics gate, then three a step. The window must have heard of a checkpoint by then. */
let trained = 0;
ort.InferenceSession.create = onNoDevice(ort.InferenceSession.create, ({ feeds }) => {
  if (feeds.tokenWeights !== undefined) trained++;
  if (trained > 11) for (;;);
});
await import('../../src-main/engine-process/main.ts');
