/** `tools try`: calls a tool by hand. Each result is handed out as it comes. */
import { z } from 'zod';
import type { ToolResult } from '../../contract/records.ts';
import { tryCalls } from '../../engine/tools/try.ts';
import { defineCommand } from '../command.ts';
import { withTools } from '../tool-set.ts';

export const command = defineCommand({
  payload: z.strictObject({
    name: z.string(),
    /** each an object of arguments, or a text for the primary argument */
    inputs: z.array(z.json()).min(1),
    corpus: z.string().optional(),
  }),
  async run({ name, inputs, corpus }, context): Promise<{ results: ToolResult[] }> {
    return withTools([name], corpus, context, async (tools) => {
      const [tool] = tools.values();
      return { results: await tryCalls(tool, inputs, (result) => context.item(result)) };
    });
  },
});
