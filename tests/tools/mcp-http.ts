/** The test's MCP server over HTTP, on this machine, in this process. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createMcpHandler } from '@modelcontextprotocol/server';
import { mcpServer } from './mcp-server.ts';

/** Serves until closed. `instead` may answer a request itself. */
export async function mcpOverHttp(
  log: string,
  instead: (response: ServerResponse) => boolean = () => false,
): Promise<{ url: string; close(): void }> {
  const handler = createMcpHandler(() => mcpServer('plain', log));
  const http = createServer(async (request, response) => {
    if (instead(response)) return;
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const answer = await handler.fetch(
      new Request(`http://127.0.0.1${request.url}`, {
        method: request.method,
        headers: Object.entries(request.headers).map(([key, value]): [string, string] => [key, String(value)]),
        ...(parts.length > 0 && { body: Buffer.concat(parts) }),
      }),
    );
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`,
    close() {
      http.closeAllConnections();
      http.close();
    },
  };
}
