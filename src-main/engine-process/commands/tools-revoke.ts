/** `tools revoke`: a tool may not run any more. A run under way keeps it until it ends or is resumed. */
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { mcpToolName } from '../../contract/mcp.ts';
import { defineCommand } from '../command.ts';
import { changeMcpRecord, entryOf, partsOf } from '../mcp-record.ts';

export const command = defineCommand({
  payload: z.strictObject({ tool: mcpToolName }),
  async run({ tool: name }, { dataFolder }): Promise<{ revoked: string }> {
    const { server, tool } = partsOf(name);
    changeMcpRecord(dataFolder, (servers) => {
      const { approvals } = entryOf(servers, server);
      if (!Object.hasOwn(approvals, tool)) {
        throw new ParetuneError('not-found', `The tool ${name} was not approved.`);
      }
      delete approvals[tool];
    });
    return { revoked: name };
  },
});
