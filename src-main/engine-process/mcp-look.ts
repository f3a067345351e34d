/** What an MCP server offers now: asked once, then the server is ended. */
import type { McpServer } from '../contract/mcp.ts';
import { connectMcp, mcpLimits } from '../engine/tools/mcp-connection.ts';
import type { McpDefinition } from '../engine/tools/mcp-definition.ts';

export async function readDefinitions(name: string, server: McpServer, signal: AbortSignal): Promise<McpDefinition[]> {
  const connection = await connectMcp(name, server, mcpLimits, signal);
  await connection.close();
  return [...connection.definitions];
}
