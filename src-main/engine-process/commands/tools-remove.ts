/** `tools remove`: forgets an MCP server with all its approvals. */
import { z } from 'zod';
import { mcpServerName } from '../../contract/mcp.ts';
import { defineCommand } from '../command.ts';
import { changeMcpRecord, entryOf } from '../mcp-record.ts';

export const command = defineCommand({
  payload: z.strictObject({ name: mcpServerName }),
  async run({ name }, { dataFolder }): Promise<{ removed: string }> {
    changeMcpRecord(dataFolder, (servers) => {
      entryOf(servers, name);
      delete servers[name];
    });
    return { removed: name };
  },
});
