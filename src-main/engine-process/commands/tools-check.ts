/** `tools check`: a canary call to each tool. */
import { z } from 'zod';
import { checkTools, toolNames } from '../../engine/tools/registry.ts';
import type { ToolHealth } from '../../engine/tools/tool.ts';
import { defineCommand } from '../command.ts';
import { withTools } from '../tool-set.ts';

export const command = defineCommand({
  payload: z.strictObject({
    /** empty: all that can be checked without more information */
    names: z.array(z.string()),
    corpus: z.string().optional(),
  }),
  async run({ names, corpus }, context): Promise<{ tools: ({ name: string } & ToolHealth)[] }> {
    const all = toolNames.filter((name) => name !== 'search' || corpus !== undefined);
    return withTools(names.length > 0 ? names : all, corpus, context, async (tools) => {
      const health = await checkTools(tools);
      return { tools: [...health].map(([name, result]) => ({ name, ...result })) };
    });
  },
});
