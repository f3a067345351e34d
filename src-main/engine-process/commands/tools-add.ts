/** `tools add`: an MCP server is started or reached once, and what it offers is kept. None of its tools is approved by that. */
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { type McpServerRow, mcpServerName, mcpServerSchema } from '../../contract/mcp.ts';
import { checkAddress } from '../../engine/tools/mcp-connection.ts';
import { defineCommand } from '../command.ts';
import { readDefinitions } from '../mcp-look.ts';
import { changeMcpRecord, readMcpRecord, serverRows } from '../mcp-record.ts';

export const command = defineCommand({
  payload: z.strictObject({ name: mcpServerName, server: mcpServerSchema }),
  async run({ name, server }, { dataFolder, progress, signal }): Promise<McpServerRow> {
    const refuseKnown = (servers: object) => {
      if (!Object.hasOwn(servers, name)) return;
      throw new ParetuneError('usage', `There is an MCP server ${name} already.`, {
        hint: 'Choose another name, or remove it first.',
      });
    };
    refuseKnown(readMcpRecord(dataFolder).servers);
    if (server.kind === 'http') checkAddress(server.url);
    progress({ label: `starting ${name}`, done: 0, total: 0 });
    const seen = await readDefinitions(name, server, signal);
    changeMcpRecord(dataFolder, (servers) => {
      refuseKnown(servers);
      servers[name] = { server, seen, approvals: {} };
    });
    return serverRows(readMcpRecord(dataFolder)).find((row) => row.name === name)!;
  },
});
