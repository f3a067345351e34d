/**
 * A GPU that is none: sessions for WebGPU are opened on the CPU, and a test says when one of their runs fails, with the
 * words of a real fault. Everything above onnxruntime-node's session is the real thing.
 */
import type { TestContext } from 'node:test';
import * as ort from 'onnxruntime-node';

/** One run of a session on the GPU that is none: how many there were before, and what it is fed. */
export type DeviceRun = { count: number; feeds: Record<string, ort.Tensor> };

/** What Dawn and ONNX Runtime 1.30.0 say. */
export const faultWords = {
  lost: 'Failed to download data from buffer. wgpu::MapAsyncStatus value: 3',
  lostBefore: 'Failed to initialize the WebGPU context: device lost',
  memory: 'WebGPU validation failed. [Invalid Buffer (unlabeled)] is invalid due to a previous error.',
};

type Create = typeof ort.InferenceSession.create;

/** `fault` is asked before every run on the device and throws to make it fail, `openFault` before a session is opened. */
export function fakeDevice(t: TestContext, fault: (run: DeviceRun) => void, openFault: () => void = () => {}): void {
  t.mock.method(ort.InferenceSession, 'create', onNoDevice(ort.InferenceSession.create, fault, openFault));
}

/** What opens sessions, those for WebGPU on the CPU. */
export function onNoDevice(create: Create, fault: (run: DeviceRun) => void, openFault: () => void = () => {}): Create {
  let count = 0;
  const onDevice = async (model: Uint8Array, options: ort.InferenceSession.SessionOptions = {}) => {
    const [provider] = options.executionProviders ?? [];
    if (provider !== 'webgpu') return create(model, options);
    openFault();
    // its memory is main memory: results stay there and are written in place just the same
    const { preferredOutputLocation: _, ...rest } = options;
    const session = await create(model, { ...rest, executionProviders: ['cpu'], extra: withoutBan(options.extra) });
    const run = session.run.bind(session) as (...given: unknown[]) => Promise<ort.InferenceSession.OnnxValueMapType>;
    session.run = ((feeds: Record<string, ort.Tensor>, ...rest: unknown[]) => {
      try {
        fault({ count: count++, feeds });
      } catch (error) {
        return Promise.reject(error);
      }
      return run(feeds, ...rest);
    }) as typeof session.run;
    return session;
  };
  return onDevice as Create;
}

/** On the CPU alone there is no fallback to forbid. */
function withoutBan(extra: Record<string, unknown> = {}): Record<string, unknown> {
  const { disable_cpu_ep_fallback: _, ...session } = extra.session as Record<string, unknown>;
  return { ...extra, session };
}
