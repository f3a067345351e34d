/** `tools list`: the tools there are, as an agent sees them, and the MCP servers with what is kept of theirs. Starts nothing. */
import { z } from 'zod';
import type { McpServerRow } from '../../contract/mcp.ts';
import type { ToolSpec } from '../../contract/records.ts';
import { closeTools, makeTools, toolNames } from '../../engine/tools/registry.ts';
import { defineCommand } from '../command.ts';
import { readMcpRecord, serverRows } from '../mcp-record.ts';

/** No corpus is needed to say what the search tool is. */
const noCorpus = { documents: 0, search: () => [] };

export type ToolDescription = ToolSpec & { primaryArgument: string };

export const command = defineCommand({
  payload: z.strictObject({}),
  async run(_, { dataFolder }): Promise<{ tools: ToolDescription[]; servers: McpServerRow[] }> {
    const tools = makeTools(toolNames, { corpus: noCorpus });
    try {
      return {
        tools: [...tools.values()].map(({ spec, primaryArgument }) => ({ ...spec, primaryArgument })),
        servers: serverRows(readMcpRecord(dataFolder)),
      };
    } finally {
      await closeTools(tools);
    }
  },
});
