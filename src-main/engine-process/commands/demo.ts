/**
 * `demo`: tunes the bundled over-user on both built-in tasks and says what came of it. The checkpoint is chosen on the
 * selection split; every number in the answer is of the report split, before and after on the same problems and draws.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import type { PolicyPoint } from '../../contract/records.ts';
import { defaultMethod, methodNames, runConfigSchema } from '../../contract/run-config.ts';
import { pairedTest } from '../../engine/base/statistics.ts';
import { openEnvironment } from '../../engine/run/environment.ts';
import type { EvaluatedTrajectory } from '../../engine/run/evaluate.ts';
import { databasePath, type Store } from '../../store/open-store.ts';
import { openRunPolicy } from '../agents.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { corpusOpener } from '../corpora.ts';
import { driveRun } from '../drive-run.ts';
import { exportRun } from '../export-run.ts';
import { measure } from '../measure.ts';
import { type RunSummary, summarizeRun } from '../run-summary.ts';
import { withStore } from '../with-store.ts';

const TASKS = ['arithmetic', 'multi-hop'];

type Numbers = { success: number; cost: number; n: number };
type Change<T> = { before: T; after: T };

export type DemoResult = {
  /** hypervolume of a single policy: success x (1 - cost / cost limit) */
  tasks: Record<string, Change<Numbers> & { hypervolume: Change<number> }>;
  steps: number;
  seconds: number;
  /** SQLite file with every trajectory */
  database: string;
  /** folder of the exported ONNX model */
  export: string;
  /** step of the checkpoint that was chosen and exported */
  chosenStep: number;
  /** both tasks together, with intervals */
  report: Change<PolicyPoint>;
  /** success after minus before on the same problems, with its 95 % interval */
  successChange: { difference: number; low: number; high: number };
  run: RunSummary;
};

export const command = defineCommand({
  payload: z.strictObject({
    steps: z.int().min(1).max(10_000).default(60),
    seed: z.int().min(0).default(0),
    method: z.enum(methodNames).default(defaultMethod),
    model: z.string().default('starter:over-user'),
    tasks: z.array(z.string()).min(1).default(TASKS),
    /** problems of each task in the final comparison */
    problems: z.int().min(8).max(100_000).default(1000),
    threads: z.int().min(0).default(0),
    /** folder for the exported model; below the data folder if absent */
    to: z.string().optional(),
  }),
  async run({ steps, seed, method, model, tasks, problems, threads, to }, context): Promise<DemoResult> {
    const began = performance.now();
    const config = runConfigSchema.parse({
      model,
      tasks,
      method,
      steps,
      seed,
      threads,
      reportProblems: 8,
      evaluation: { everySteps: 5, greedy: false },
      checkpoint: { everySteps: 5 },
    });
    return withStore(context.dataFolder, 'write', async (store) => {
      const runId = freeDemoName(store);
      await driveRun(store, runId, config, { kind: 'new' }, context);
      const { status, step } = store.getRun(runId);
      if (status !== 'finished') {
        throw new ParetuneError('interrupted', `The run ${runId} was stopped after step ${step} of ${steps}.`, {
          hint: `paretune resume ${runId} goes on with it.`,
        });
      }
      const { costLimit } = store.getRun(runId).facts;
      const { results, tasks: names } = await measureAll(store, runId, ['0', 'best'], problems, context);
      const [before, after] = results;
      const folder = to ?? join(context.dataFolder, 'exports', runId);
      await exportRun(
        store,
        { run: runId, checkpoint: 'best', to: folder, target: 'all', variants: ['fp32'], problems, point: after.point },
        context,
      );
      return {
        tasks: Object.fromEntries(names.map((task) => [task, compareTask(task, before.point, after.point, costLimit)])),
        steps,
        seconds: Math.round((performance.now() - began) / 100) / 10,
        database: databasePath(context.dataFolder),
        export: folder,
        chosenStep: after.point.step,
        report: { before: before.point, after: after.point },
        successChange: pairedChange(before.trajectories, after.trajectories),
        run: summarizeRun(store, runId),
      };
    });
  },
});

/** Checkpoints of the run, each on the same report problems of its own tasks, one trajectory a problem at temperature 1. */
async function measureAll(
  store: Store,
  runId: string,
  checkpoints: string[],
  problems: number,
  context: CommandContext,
) {
  const { config } = store.getRun(runId);
  const opened = checkpoints.map((checkpoint) => openRunPolicy(store, runId, checkpoint));
  const environment = await openEnvironment(opened[0].agent, config, corpusOpener(context));
  try {
    const what = { split: 'report', problems, sampling: 'sampled' } as const;
    const results: Awaited<ReturnType<typeof measure>>[] = [];
    for (const open of opened) {
      const label = `measuring step ${open.step} on report problems`;
      results.push(await measure(open, environment, config, what, label, context));
    }
    return { results, tasks: environment.tasks.map((task) => task.name) };
  } finally {
    await environment.close();
  }
}

/** Paired by problem; a problem that was not graded on both sides is left out. */
function pairedChange(before: EvaluatedTrajectory[], after: EvaluatedTrajectory[]): DemoResult['successChange'] {
  const both = before.flatMap(({ trajectory }, i) => {
    const later = after[i].trajectory.success;
    return trajectory.success === null || later === null ? [] : [[Number(trajectory.success), Number(later)]];
  });
  const test = pairedTest(
    both.map(([, later]) => later),
    both.map(([earlier]) => earlier),
    'two-sided',
    0.95,
  );
  return { difference: test.difference, low: test.low, high: test.high };
}

function compareTask(
  task: string,
  before: PolicyPoint,
  after: PolicyPoint,
  costLimit: number,
): DemoResult['tasks'][string] {
  const part = (point: PolicyPoint): Numbers => point.breakdown[`task:${task}`];
  const area = ({ success, cost }: Numbers) => success * Math.max(0, 1 - cost / costLimit);
  return {
    before: part(before),
    after: part(after),
    hypervolume: { before: area(part(before)), after: area(part(after)) },
  };
}

function freeDemoName(store: Store): string {
  const taken = new Set(store.listRuns().map(({ runId }) => runId));
  for (let number = 1; ; number++) if (!taken.has(`demo-${number}`)) return `demo-${number}`;
}
