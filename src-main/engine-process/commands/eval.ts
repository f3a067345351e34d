/** `eval`: a model, or a run at a checkpoint, measured on held-out problems. Nothing is stored. */
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import type { PolicyPoint } from '../../contract/records.ts';
import { runConfigSchema } from '../../contract/run-config.ts';
import type { Evaluation } from '../../contract/window-records.ts';
import { ungradedNote } from '../../engine/run/evaluate.ts';
import { openAgentOf, openRunPolicy, type OpenPolicy } from '../agents.ts';
import { defineCommand } from '../command.ts';
import { withOwnTools } from '../own-tools.ts';
import { openRunEnvironment } from '../run-environment.ts';
import { measure } from '../measure.ts';
import { withStore } from '../with-store.ts';

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
    const environment = await openRunEnvironment(open.agent, config, context);
    try {
      const points: PolicyPoint[] = [];
      const warnings: string[] = [];
      for (const sampling of greedy ? (['sampled', 'greedy'] as const) : (['sampled'] as const)) {
        const what = { split, problems: count, sampling };
        const { point, trajectories } = await measure(
          open,
          environment,
          config,
          what,
          `evaluating, ${sampling}`,
          context,
        );
        points.push(point);
        const note = ungradedNote(trajectories);
        if (note !== null) warnings.push(`${sampling}: ${note}`);
      }
      const seconds = (performance.now() - began) / 1000;
      return { run: open.run, step: open.step, model: config.model, seconds, points, warnings };
    } finally {
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
    const config = withOwnTools(checked(settings), dataFolder);
    const agent = openAgentOf(dataFolder, config.model);
    return { open: { agent, policy: agent.newPolicy(null, config.seed), run: null, step: null }, config };
  }
  return withStore(dataFolder, 'read', (store) => ({
    open: openRunPolicy(store, run, checkpoint),
    config: checked(onTop(store.getRun(run).config, settings)),
  }));
}

type Table = { [key: string]: unknown };

/** Settings with others on top, table by table: what is not named stays. */
function onTop(settings: Table, others: Table): Table {
  const isTable = (value: unknown): value is Table =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const merged = Object.entries(others).map(([key, value]) => {
    const below = Object.hasOwn(settings, key) ? settings[key] : undefined;
    return [key, isTable(value) && isTable(below) ? onTop(below, value) : value];
  });
  return { ...settings, ...Object.fromEntries(merged) };
}

function checked(settings: Table): z.output<typeof runConfigSchema> {
  const { success, data, error } = runConfigSchema.safeParse(settings);
  if (success) return data;
  throw new ParetuneError('config', `The settings do not fit: ${z.prettifyError(error)}`, {
    hint: 'paretune tune --list-settings shows every setting with its default',
  });
}
