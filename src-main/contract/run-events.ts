/**
 * What a run tells the world, in order. The training loop yields these; the store writes each in one transaction before
 * the loop goes on; the command line and the window fold them into what they show. A replay of the stored events is a run.
 */
import type { Group, PolicyPoint, StepMetrics } from './records.ts';
import type { RunConfig } from './run-config.ts';

export type CheckpointRecord = {
  step: number;
  /** folder below the run's folder */
  folder: string;
  /** sha256 of the checkpoint's manifest */
  manifestHash: string;
  /** sha256 over the trainable weights only: equal hashes mean equal policies */
  weightsHash: string;
  bytes: number;
};

/** Facts that are measured once at the start and fixed for the run. */
export type RunFacts = {
  engineVersion: string;
  runtimeVersion: string;
  provider: string;
  threads: number;
  cpu: string;
  /** sha256 of the start weights */
  modelHash: string;
  parameters: number;
  /** mean price of one call under the start policy: costs are divided by it inside the tool reward */
  referencePrice: number;
  /** mean sampled tokens of a trajectory under the start policy: lengths are divided by it inside the length reward */
  referenceLength: number;
  /** the cost at which efficiency is 0 on the hypervolume's axis */
  costLimit: number;
};

export type RunEvent =
  | { kind: 'started'; runId: string; config: RunConfig; facts: RunFacts }
  /** a run that goes on from a checkpoint: rows of later steps become a superseded attempt */
  | { kind: 'resumed'; runId: string; fromStep: number; attempt: number }
  | { kind: 'step'; runId: string; step: number; groups: Group[]; metrics: StepMetrics }
  | { kind: 'evaluated'; runId: string; point: PolicyPoint; hypervolume: number; onFrontier: boolean }
  | { kind: 'checkpoint'; runId: string; checkpoint: CheckpointRecord; dropped: number[] }
  | { kind: 'notice'; runId: string; step: number; level: 'info' | 'warning'; code: string; message: string }
  /** prices changed by the user between two steps */
  | { kind: 'prices'; runId: string; step: number; prices: Record<string, number> }
  | { kind: 'ended'; runId: string; step: number; status: RunStatus; reason: string };

export type RunStatus = 'running' | 'finished' | 'stopped' | 'failed';
