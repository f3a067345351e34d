/** `tools list`: the tools there are, as an agent sees them. */
import { z } from 'zod';
import type { ToolSpec } from '../../contract/records.ts';
import { closeTools, makeTools, toolNames } from '../../engine/tools/registry.ts';
import { defineCommand } from '../command.ts';

/** No corpus is needed to say what the search tool is. */
const noCorpus = { documents: 0, search: () => [] };

export type ToolDescription = ToolSpec & { primaryArgument: string };

export const command = defineCommand({
  payload: z.strictObject({}),
  async run(): Promise<{ tools: ToolDescription[] }> {
    const tools = makeTools(toolNames, { corpus: noCorpus });
    try {
      return { tools: [...tools.values()].map(({ spec, primaryArgument }) => ({ ...spec, primaryArgument })) };
    } finally {
      await closeTools(tools);
    }
  },
});
