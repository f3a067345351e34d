/**
 * A connection to one MCP server, by the protocol's own client: bounded in time and in bytes, ended with all that it
 * started. It knows nothing of approvals (mcp-tool.ts asks before it calls). A server's schemas are never compiled: their
 * patterns are foreign code of a kind, and what a tool answers is only ever text here.
 *
 * Source: Model Context Protocol, transports (stdio, streamable HTTP) and tools.
 */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { ParetuneError } from '../../contract/errors.ts';
import { type McpServer, shownCommand } from '../../contract/mcp.ts';
import type { Json } from '../../contract/records.ts';
import { checkDefinitions, type McpDefinition, readable } from './mcp-definition.ts';

export type McpLimits = {
  /** until a server has started and told its tools */
  startMs: number;
  /** one call */
  callMs: number;
  /** bytes of one message */
  messageBytes: number;
};
export const mcpLimits: McpLimits = { startMs: 20_000, callMs: 30_000, messageBytes: 4 * 2 ** 20 };

export type McpAnswer = { isError: boolean; text: string };

export type McpConnection = {
  /** what it offered when it was opened */
  readonly definitions: readonly McpDefinition[];
  /** false once it crashed, hung or was closed */
  isOpen(): boolean;
  /** true once the server said that its tools are others now */
  hasChanged(): boolean;
  /** Throws an Error where the server fails, not the call. */
  call(tool: string, args: Record<string, Json>): Promise<McpAnswer>;
  close(): Promise<void>;
};

/** Programs that still run: none outlives this process, however it ends (but for SIGKILL, which closes their input). */
const running = new Set<number>();
let watched = false;

function endAllAtExit(): void {
  if (watched) return;
  watched = true;
  process.on('exit', () => {
    for (const pid of running) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it had ended
      }
    }
  });
}

/** Errors: `tool` for an address that is not one to use. */
export function checkAddress(url: string): URL {
  const refuse = (what: string): never => {
    throw new ParetuneError('tool', `${JSON.stringify(readable(url))} ${what}.`, {
      hint: 'Give an address such as http://127.0.0.1:8000/mcp or https://tools.example.org/mcp',
    });
  };
  if (!URL.canParse(url)) return refuse('is no address');
  const address = new URL(url);
  const isHere = ['127.0.0.1', '[::1]', 'localhost'].includes(address.hostname);
  if (address.protocol !== 'https:' && !(address.protocol === 'http:' && isHere)) {
    return refuse('is neither https: nor http: on this machine');
  }
  if (address.username !== '' || address.password !== '') return refuse('holds a password');
  return address;
}

/** fetch for one address only, without redirects, that ends an answer of more than `most` bytes and says so. */
function fetchOnly(
  address: URL,
  most: number,
  onTooLarge: (error: Error) => void,
): (url: string | URL, init?: RequestInit) => Promise<Response> {
  return async (url, init) => {
    if (new URL(url).href !== address.href) throw new Error(`${new URL(url).host} is not the address of the server`);
    const response = await fetch(address, { ...init, redirect: 'error' });
    if (response.body === null) return response;
    let bytes = 0;
    const counted = response.body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          bytes += chunk.length;
          if (bytes <= most) return controller.enqueue(chunk);
          const error = new Error(`it sent an answer of more than ${most} bytes`);
          controller.error(error);
          onTooLarge(error);
        },
      }),
    );
    return new Response(counted, response);
  };
}

/** Only the variables that the user named; the client adds the few harmless ones (PATH, HOME and the like). */
function environmentOf(names: readonly string[]): Record<string, string> {
  const missing = names.find((name) => process.env[name] === undefined);
  if (missing !== undefined) {
    throw new ParetuneError('tool', `The environment variable ${missing}, which the MCP server asks for, is not set.`, {
      hint: 'Set it before Paretune is started, or add the server again without it.',
    });
  }
  return Object.fromEntries(names.map((name) => [name, process.env[name]!]));
}

/**
 * Starts or reaches a server and reads its tools. Errors: `tool`, with what the server wrote last; `interrupted` where
 * `signal` ended the start.
 */
export async function connectMcp(
  name: string,
  server: McpServer,
  limits: McpLimits = mcpLimits,
  signal?: AbortSignal,
): Promise<McpConnection> {
  const interrupted = () =>
    new ParetuneError('interrupted', `The MCP server ${name} was ended before it had told its tools.`);
  if (signal?.aborted) throw interrupted();
  const transport =
    server.kind === 'stdio'
      ? new StdioClientTransport({
          command: server.command,
          args: server.args,
          env: environmentOf(server.env),
          stderr: 'pipe',
          maxBufferSize: limits.messageBytes,
        })
      : httpTransport(server.url, limits, (error) => breakOff(error));
  // a stream that was cut is no answer to the client: whoever waits is told here
  let breakOff: (error: Error) => void = () => {};
  const broken = new Promise<never>((_, reject) => (breakOff = reject));
  broken.catch(() => {});
  let said = '';
  let open = true;
  let changed = false;
  let pid: number | null = null;
  if (transport instanceof StdioClientTransport) {
    endAllAtExit();
    transport.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(-2000)));
  }
  const client = new Client(
    { name: 'paretune', version: '1' },
    {
      listMaxPages: 16,
      jsonSchemaValidator: {
        getValidator: () => (input: unknown) => ({ valid: true, data: input as never, errorMessage: undefined }),
      },
    },
  );
  const kill = () => {
    if (pid === null) return;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // it has ended
    }
    running.delete(pid);
  };
  const close = async () => {
    open = false;
    await client.close().catch(() => {});
    kill(); // nothing there any more, as a rule
  };
  const stop = () => {
    kill(); // what was not let start is not asked politely
    breakOff(interrupted());
  };
  signal?.addEventListener('abort', stop, { once: true });
  client.onclose = () => {
    open = false;
    if (pid !== null) running.delete(pid);
    pid = null;
  };
  client.setNotificationHandler('notifications/tools/list_changed', () => {
    changed = true;
  });
  try {
    const definitions = await within(limits.startMs, 'start and tell its tools', async () => {
      const connecting = client.connect(transport, { timeout: limits.startMs });
      // known as soon as the program is, so that a start that hangs is ended too
      if (transport instanceof StdioClientTransport) {
        pid = transport.pid;
        if (pid !== null) running.add(pid);
      }
      await Promise.race([broken, connecting]);
      const { tools } = await Promise.race([broken, client.listTools(undefined, { timeout: limits.startMs })]);
      return checkDefinitions(name, tools);
    });
    signal?.removeEventListener('abort', stop); // it was for the start
    let busy = 0;
    const queue: (() => void)[] = [];
    return {
      definitions,
      isOpen: () => open,
      hasChanged: () => changed,
      async call(tool, args) {
        // a program that answers one call at a time is not to be timed out by the calls before
        if (busy >= callsAtOnce) await new Promise<void>((resolve) => queue.push(resolve));
        busy++;
        try {
          const result = await within(limits.callMs, `answer a call of ${tool}`, () =>
            Promise.race([broken, client.callTool({ name: tool, arguments: args }, { timeout: limits.callMs * 2 })]),
          );
          return { isError: result.isError === true, text: textOf(result) };
        } catch (error) {
          // what hangs or crashed once is begun anew for the next call
          if (!isAnswer(error)) await close();
          throw error;
        } finally {
          busy--;
          queue.shift()?.();
        }
      },
      close,
    };
  } catch (error) {
    await close();
    if (error instanceof ParetuneError) throw error;
    const words = readable(said).trim();
    throw new ParetuneError(
      'tool',
      `The MCP server ${name} does not work (${shownCommand(server)}): ${readable((error as Error).message)}${words === '' ? '' : `. It wrote: ${words.slice(-600)}`}`,
      {
        hint: 'Start it by hand to see what it lacks. A program that is not on the path is named with its whole path.',
        cause: error,
      },
    );
  }
}

const callsAtOnce = 8;

function httpTransport(
  url: string,
  limits: McpLimits,
  onTooLarge: (error: Error) => void,
): StreamableHTTPClientTransport {
  const address = checkAddress(url);
  return new StreamableHTTPClientTransport(address, {
    fetch: fetchOnly(address, limits.messageBytes, onTooLarge),
    reconnectionOptions: {
      initialReconnectionDelay: 1000,
      maxReconnectionDelay: 5000,
      reconnectionDelayGrowFactor: 2,
      maxRetries: 2,
    },
  });
}

/** A JSON-RPC error is an answer (bad arguments, no such tool): the server itself is well. */
function isAnswer(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'number';
}

async function within<T>(milliseconds: number, what: string, action: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not ${what} within ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([action(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Its texts; where it has none, its structured content as JSON. Pictures and sounds are named, not sent on. */
function textOf({
  content,
  structuredContent,
}: {
  content?: { type: string; text?: unknown }[];
  structuredContent?: unknown;
}): string {
  const parts = (content ?? []).map((part) => (part.type === 'text' ? String(part.text) : `[${part.type}]`));
  if (parts.length > 0) return parts.join('\n');
  return structuredContent === undefined ? '' : JSON.stringify(structuredContent);
}
