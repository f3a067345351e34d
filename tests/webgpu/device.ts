/** Whether WebGPU has a device in this process: the reason to skip, or false. */
import { requireDevice } from '../../src-main/engine/runtime/providers.ts';

export const noDevice: string | false = await requireDevice('webgpu').then(
  () => false as const,
  (error: Error) => error.message,
);
