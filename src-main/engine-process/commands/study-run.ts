/**
 * `study-run`: one run of a study from start to end; the answer are the numbers of its shard. By default nothing else is kept:
 * its checkpoints are in a temporary folder, and as many engine processes as one likes can do this at once. With `log` it
 * is a run like any other in the data folder, every trajectory in the log.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import type { PolicyPoint } from '../../contract/records.ts';
import { type RunConfig, runConfigSchema } from '../../contract/run-config.ts';
import type { RunEvent, RunFacts, RunStatus } from '../../contract/run-events.ts';
import { type ShardPoint, type StepNumber, stepMetricNumbers, type StudyRunResult } from '../../contract/study.ts';
import { groupStatistics } from '../../engine/run/group-statistics.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { driveRun } from '../drive-run.ts';
import { withStore } from '../with-store.ts';

export const command = defineCommand({
  payload: z.strictObject({ config: runConfigSchema, label: z.string(), log: z.boolean() }),
  async run({ config, label, log }, context): Promise<StudyRunResult> {
    const began = performance.now();
    const cpu = process.cpuUsage();
    const points: ShardPoint[] = [];
    const steps: StudyRunResult['steps'] = {};
    let facts: RunFacts | undefined;
    let end: { status: RunStatus; reason: string } | undefined;
    const emit = (event: RunEvent) => {
      if (event.kind === 'started') facts = event.facts;
      if (event.kind === 'evaluated') points.push(shardPoint(event.point));
      if (event.kind === 'ended') end = event;
      if (event.kind !== 'step') return;
      for (const key of stepMetricNumbers) append(steps, key, event.metrics[key]);
      const groups = groupStatistics(event.groups, config.objectives);
      for (const [key, value] of Object.entries(groups)) append(steps, key as StepNumber, value);
      context.progress({ label, done: event.step, total: config.steps });
    };
    try {
      await drive(config, label, log, { ...context, emit, progress: () => {} });
    } catch (error) {
      // a run that broke down is a result; one that could not be made is not
      if (!(error instanceof ParetuneError && error.code === 'diverged')) throw error;
    }
    if (facts === undefined || end === undefined || end.status === 'stopped') {
      throw new ParetuneError('interrupted', `${label} was stopped before its end; it has no shard yet.`);
    }
    const used = process.cpuUsage(cpu);
    return {
      facts,
      status: end.status === 'finished' ? 'finished' : 'failed',
      reason: end.reason,
      seconds: short((performance.now() - began) / 1000)!,
      cpuSeconds: short((used.user + used.system) / 1e6)!,
      points,
      steps,
    };
  },
});

async function drive(config: RunConfig, label: string, log: boolean, context: CommandContext): Promise<void> {
  if (log) {
    return withStore(context.dataFolder, 'write', (store) => {
      const taken = new Set(store.listRuns().map(({ runId }) => runId));
      const stem = label.replaceAll(' ', '-').slice(0, 56);
      let runId = stem;
      for (let number = 2; taken.has(runId); number++) runId = `${stem}-${number}`;
      return driveRun(store, runId, config, { kind: 'new' }, context);
    });
  }
  const folder = mkdtempSync(join(tmpdir(), 'paretune-study-'));
  try {
    await driveRun({ append: () => {} }, label, config, { kind: 'new' }, context, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function append(steps: StudyRunResult['steps'], key: StepNumber, value: number | null): void {
  const list = steps[key] ?? [];
  list.push(short(value));
  steps[key] = list;
}

function shardPoint(point: PolicyPoint): ShardPoint {
  const { step, sampling, n } = point;
  const [success, cost, calls, responseLength] = [point.success, point.cost, point.calls, point.responseLength].map(
    (value) => short(value)!,
  );
  const split = point.split === 'report' ? 'report' : 'selection';
  return { step, split, sampling, n, success, cost, calls, responseLength, klToStart: short(point.klToStart) };
}

/** Six significant digits: far finer than the noise, and a tenth of the bytes. */
function short(value: number | null): number | null {
  return value === null || !Number.isFinite(value) ? null : Number(value.toPrecision(6));
}
