/** `tools look`: asks an MCP server again what it offers. A tool whose definition is another now counts as changed. */
import { z } from 'zod';
import { type McpServerRow, mcpServerName } from '../../contract/mcp.ts';
import { defineCommand } from '../command.ts';
import { readDefinitions } from '../mcp-look.ts';
import { changeMcpRecord, entryOf, readMcpRecord, serverRows } from '../mcp-record.ts';

export const command = defineCommand({
  payload: z.strictObject({ name: mcpServerName }),
  async run({ name }, { dataFolder, progress, signal }): Promise<McpServerRow> {
    const { server } = entryOf(readMcpRecord(dataFolder).servers, name);
    progress({ label: `starting ${name}`, done: 0, total: 0 });
    const seen = await readDefinitions(name, server, signal);
    changeMcpRecord(dataFolder, (servers) => {
      entryOf(servers, name).seen = seen;
    });
    return serverRows(readMcpRecord(dataFolder)).find((row) => row.name === name)!;
  },
});
