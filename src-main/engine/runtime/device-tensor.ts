/** A tensor in the GPU's memory, and the count of all that are alive. Who makes and frees them is device-memory.ts. */
import type * as ort from 'onnxruntime-node';

/** A float32 tensor on the GPU. */
export class DeviceTensor {
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly inner: ort.Tensor;

  constructor(inner: ort.Tensor) {
    this.inner = inner;
    this.shape = inner.dims;
    this.bytes = 4 * inner.size;
    alive.tensors++;
    alive.bytes += this.bytes;
  }

  dispose(): void {
    this.inner.dispose();
    alive.tensors--;
    alive.bytes -= this.bytes;
  }
}

const alive = { tensors: 0, bytes: 0 };

/** What is held on the GPU by this process now, beside the caches and activations of the sessions themselves. */
export function deviceMemoryInUse(): { tensors: number; bytes: number } {
  return { ...alive };
}
