/**
 * `tools approve`: the definition that was read may run from now on. The hash says which one was read: where the server
 * has been seen with another one since, nothing is approved.
 */
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { type McpToolRow, mcpApprovalSchema, mcpToolName } from '../../contract/mcp.ts';
import { defineCommand } from '../command.ts';
import { changeMcpRecord, entryOf, partsOf, readMcpRecord, serverRows } from '../mcp-record.ts';

export const command = defineCommand({
  payload: z.strictObject({ ...mcpApprovalSchema.shape, tool: mcpToolName }),
  async run({ tool: name, ...approval }, { dataFolder }): Promise<McpToolRow> {
    const { server, tool } = partsOf(name);
    entryOf(readMcpRecord(dataFolder).servers, server);
    const find = () =>
      serverRows(readMcpRecord(dataFolder))
        .find((row) => row.name === server)
        ?.tools.find((row) => row.name === name);
    const row = find();
    if (row === undefined || row.state === 'gone') {
      throw new ParetuneError('not-found', `The MCP server ${server} offers no tool ${tool}.`, {
        hint: `paretune tools look ${server} asks it again what it offers.`,
      });
    }
    if (row.hash !== approval.hash) {
      throw new ParetuneError(
        'tool',
        `The definition of ${name} is not the one that was read: its hash is ${row.hash}.`,
        {
          hint: 'Read it again before you approve it.',
        },
      );
    }
    changeMcpRecord(dataFolder, (servers) => {
      const { approvals, seen } = entryOf(servers, server);
      approvals[tool] = { ...approval, definition: seen.find((definition) => definition.name === tool) };
    });
    return find()!;
  },
});
