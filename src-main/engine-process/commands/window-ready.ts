/**
 * `window-ready`: whether a run could start: its method reads the settings, the model opens, the tasks have problems, each
 * tool answers its canary call, and what computes. Nothing is trained or sampled. What would stop the run is this command's error, in the same words.
 */
import { z } from 'zod';
import { providerOf } from '../../contract/providers.ts';
import { type RunConfig, runConfigSchema } from '../../contract/run-config.ts';
import type { Ready } from '../../contract/window-api.ts';
import { makeMethod } from '../../engine/advantage/methods.ts';
import { requireDevice } from '../../engine/runtime/providers.ts';
import { runtimeVersion } from '../../engine/runtime/session.ts';
import { openAgentOf } from '../agents.ts';
import { defineCommand } from '../command.ts';
import { threadsOf } from '../threads.ts';
import { withOwnTools } from '../own-tools.ts';
import { openRunEnvironment } from '../run-environment.ts';

export const command = defineCommand({
  payload: z.strictObject({ config: runConfigSchema as z.ZodType<RunConfig> }),
  async run({ config: asked }, context): Promise<Ready> {
    const config = withOwnTools(asked, context.dataFolder);
    makeMethod(config);
    const provider = providerOf(config.provider);
    if (provider !== 'cpu') await requireDevice(provider);
    const agent = openAgentOf(context.dataFolder, config.model);
    const environment = await openRunEnvironment(agent, config, context);
    try {
      for (const split of ['train', 'selection', 'report'] as const) environment.problems(split, 1, config.seed);
      return {
        tools: [...environment.toolNames],
        provider: {
          name: provider,
          runtime: runtimeVersion,
          threads: threadsOf(config.threads),
          gate: provider === 'cpu' ? 'reference' : 'at-start',
        },
      };
    } finally {
      await environment.close();
    }
  },
});
