/**
 * Who computes in a run: opens trainer and decoder on the provider, proves its numbers before the first step, and goes on
 * without it where it fails in the middle (GPU lost, out of its memory, a fault of its driver), as `onProviderFailure` says.
 * Weights and moments of the last finished step are always in main memory, so the work that failed is done again and
 * nothing is lost. A driver that hangs blocks this process: that is its supervisor's business.
 */
import { ParetuneError } from '../../contract/errors.ts';
import { type ProviderName, providerOf } from '../../contract/providers.ts';
import { describeRescue, rescueOf, withRescue } from '../../contract/rescue.ts';
import type { RunConfig } from '../../contract/run-config.ts';
import type { RunEvent } from '../../contract/run-events.ts';
import { DecodeEngine, usualChunk } from '../rollout/decode-engine.ts';
import { describeFallbacks } from '../runtime/capabilities.ts';
import { deviceMemoryInUse } from '../runtime/device-tensor.ts';
import { DeviceMemory } from '../runtime/device-memory.ts';
import { parameterCount } from '../runtime/parameters.ts';
import { keptInHalves, type Policy } from '../runtime/policy.ts';
import type { OnFallback } from '../runtime/session.ts';
import type { Trainer } from '../train/trainer.ts';
import { describeReport, numericsReport, requireAgreement } from './numerics-gate.ts';
import { newTrainer } from './policy-update.ts';

/** The part of a run that computes; `config` is what it works by now. */
export type Computing = {
  config: RunConfig;
  readonly policy: Policy;
  readonly threads: number;
  trainer: Trainer;
  engine: DecodeEngine;
  /** what trainer and engine hold on the GPU (WebGPU), once for both */
  memory: DeviceMemory | undefined;
  /** what happened to the provider and nobody was told yet */
  notices: { code: string; message: string }[];
  /** bytes on the GPU that the user was told of */
  toldBytes: number;
};

const PREPACK_BYTES = 2 ** 30;

export function openComputing(config: RunConfig, policy: Policy, threads: number): Computing {
  const notices: Computing['notices'] = [];
  return { config, policy, threads, notices, toldBytes: 0, ...open(config, policy, threads, notices) };
}

function open(config: RunConfig, policy: Policy, threads: number, notices: Computing['notices']) {
  const provider = providerOf(config.provider);
  const memory = provider === 'webgpu' ? new DeviceMemory() : undefined;
  const onFallback: OnFallback = (graph, nodes) =>
    notices.push({ code: 'cpu-fallback', message: describeFallbacks(provider, graph, nodes) });
  return {
    memory,
    trainer: newTrainer(config, policy, threads, { memory, onFallback }),
    engine: new DecodeEngine(policy, {
      threads,
      maxTokens: Math.min(config.limits.tokens, policy.config.maxPositions),
      // frozen weights are kept prepacked inside the decoding session while their second copy is small, and wanted
      frozen: policy.lora !== null && !savesMemory(policy, provider) && 4 * parameterCount(policy.base) < PREPACK_BYTES,
      provider,
      chunk: chunkOf(config),
      memory,
      onFallback,
    }),
  };
}

/** Whether a second copy of the weights in main memory would undo what halves save; a GPU's copy is elsewhere. */
function savesMemory(policy: Policy, provider: ProviderName): boolean {
  return provider === 'cpu' && keptInHalves(policy);
}

/** Most tokens a row decodes in one run; `config` error where the provider has no loops. */
function chunkOf({ decodeChunk, provider }: RunConfig): number {
  const name = providerOf(provider);
  if (decodeChunk > 1 && (name === 'webgpu' || name === 'dml')) {
    throw new ParetuneError('config', `decodeChunk is ${decodeChunk}, but ${name} has no loops.`, {
      hint: 'Leave decodeChunk out, or choose the provider cuda or cpu.',
    });
  }
  return decodeChunk === 0 ? usualChunk(name) : decodeChunk;
}

/** Work that trainer or engine do, done again in another way where the provider fails. `work` reads both when it is called. */
export async function computed<T>(run: Computing, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const next = afterFailure(run.config, error);
    if (next === null) throw error;
    run.notices.push({ code: 'provider-failed', message: describeFailure(run.config, error as Error) });
    const { optimizer } = run.trainer;
    await closeComputing(run);
    Object.assign(run, { config: next, ...open(next, run.policy, run.threads, run.notices) });
    run.trainer.optimizer = optimizer;
    return computed(run, work);
  }
}

export async function closeComputing({ trainer, engine, memory }: Computing): Promise<void> {
  // a device that is gone may refuse to be closed, which changes nothing
  await trainer.dispose().catch(() => {});
  await engine.dispose().catch(() => {});
  await memory?.dispose().catch(() => {});
}

/** How a run goes on after an error: with these settings, or not at all. */
export function afterFailure(config: RunConfig, error: unknown): RunConfig | null {
  const code = error instanceof ParetuneError ? error.code : null;
  const rescue = code === 'device' || code === 'memory' ? rescueOf(config) : null;
  // a lost device does not come back within a process, however small the batch: that is for the supervisor
  if (rescue === null || ('rolloutBatch' in rescue && code === 'device')) return null;
  return withRescue(config, rescue);
}

function describeFailure(before: RunConfig, { message }: Error): string {
  return `${message} The run goes on ${describeRescue(rescueOf(before)!)}; what failed is done again and nothing is lost.`;
}

type Told = Computing & { deps: { runId: string }; state: { step: number } };

/** Compares a GPU with the CPU on the run's own policy: kept with the run, and the end of it where they do not agree. */
export async function* proveProvider(run: Told): AsyncGenerator<RunEvent> {
  const report = await computed(run, async () => {
    const provider = providerOf(run.config.provider);
    return provider === 'cpu' ? null : numericsReport(run.policy, provider, run.threads);
  });
  if (report !== null) {
    const level = report.ok ? 'info' : 'warning';
    const message = describeReport({ ...report, fallbacks: [] });
    yield { kind: 'notice', runId: run.deps.runId, step: run.state.step, level, code: 'numerics', message };
    requireAgreement(report);
  }
  yield* tellProvider(run);
}

/** What there is to say about the provider, once: also what it holds on the GPU, when that has grown. */
export function* tellProvider(run: Told): Generator<RunEvent> {
  const about = { kind: 'notice', runId: run.deps.runId, step: run.state.step } as const;
  for (const notice of run.notices.splice(0)) yield { ...about, level: 'warning', ...notice };
  const { bytes } = deviceMemoryInUse();
  if (bytes <= run.toldBytes) return;
  run.toldBytes = bytes;
  const message = `The GPU holds ${(bytes / 1e6).toFixed(1)} MB of weights, gradients and optimizer moments; the activations and caches of its sessions come on top.`;
  yield { ...about, level: 'info', code: 'device-memory', message };
}
