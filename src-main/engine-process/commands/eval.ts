/** `eval`: a model, or a run at a checkpoint, measured on held-out problems. Nothing is stored. */
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import type { PolicyPoint } from '../../contract/records.ts';
import { runConfigSchema } from '../../contract/run-config.ts';
import { hash32 } from '../../engine/base/random.ts';
import { openEnvironment } from '../../engine/run/environment.ts';
import { type EvaluatedTrajectory, policyPoint, rollOut } from '../../engine/run/evaluate.ts';
import { DecodeEngine } from '../../engine/rollout/decode-engine.ts';
import { openAgentOf, openRunPolicy, type OpenPolicy } from '../agents.ts';
import { defineCommand } from '../command.ts';
import { corpusOpener } from '../corpora.ts';
import { threadsOf } from '../drive-run.ts';
import { withStore } from '../with-store.ts';

export type Evaluation = {
  run: string | null;
  step: number | null;
  model: string;
  seconds: number;
  points: PolicyPoint[];
};

/** Problems between two looks at the stop signal, and between two signs of progress. */
const chunk = 256;

export const command = defineCommand({
  payload: z.strictObject({
    /** a run and a checkpoint of it; else `config.model` is measured as it is */
    run: z.string().optional(),
    checkpoint: z.string(),
    /** model, tasks, tools, prices and limits; of a run, its own settings with these on top */
    settings: z.record(z.string(), z.json()),
    split: z.enum(['selection', 'report']),
    problems: z.int().min(1).max(100_000),
    greedy: z.boolean(),
  }),
  async run({ run, checkpoint, settings, split, problems: count, greedy }, context): Promise<Evaluation> {
    const began = performance.now();
    const { open, config } = await openWhat(run, checkpoint, settings, context.dataFolder);
    const environment = await openEnvironment(open.agent, config, corpusOpener(context));
    const threads = threadsOf(config.threads);
    const maxTokens = Math.min(config.limits.tokens, open.agent.config.maxPositions);
    const engine = new DecodeEngine(open.policy, { threads, maxTokens, frozen: false });
    try {
      const problems = environment.problems(split, count, 0);
      const points: PolicyPoint[] = [];
      for (const sampling of greedy ? (['sampled', 'greedy'] as const) : (['sampled'] as const)) {
        const evaluated: EvaluatedTrajectory[] = [];
        for (let first = 0; first < problems.length; first += chunk) {
          if (context.signal.aborted) throw new ParetuneError('interrupted', 'Stopped before all problems were tried.');
          context.progress({ label: `evaluating, ${sampling}`, done: first, total: problems.length, note: 'problems' });
          const part = problems.slice(first, first + chunk);
          const seed = hash32(`evaluation ${config.seed}`);
          evaluated.push(
            ...(await rollOut(environment, engine, part, {
              limits: config.limits,
              batch: config.rolloutBatch,
              seed,
              step: 0,
              sampling,
              temperature: 1,
              prices: config.prices,
              weightsVersion: open.step ?? 0,
              clock: () => performance.now(),
            })),
          );
        }
        points.push(policyPoint(evaluated, { step: open.step ?? 0, split, sampling, klToStart: null }));
      }
      return {
        run: open.run,
        step: open.step,
        model: config.model,
        seconds: (performance.now() - began) / 1000,
        points,
      };
    } finally {
      await engine.dispose();
      await environment.close();
    }
  },
});

async function openWhat(
  run: string | undefined,
  checkpoint: string,
  settings: Record<string, unknown>,
  dataFolder: string,
): Promise<{ open: OpenPolicy; config: z.output<typeof runConfigSchema> }> {
  if (run === undefined) {
    const config = runConfigSchema.parse(settings);
    const agent = openAgentOf(dataFolder, config.model);
    return { open: { agent, policy: agent.newPolicy(null, config.seed), run: null, step: null }, config };
  }
  return withStore(dataFolder, 'read', (store) => ({
    open: openRunPolicy(store, run, checkpoint),
    config: runConfigSchema.parse({ ...store.getRun(run).config, ...settings }),
  }));
}
