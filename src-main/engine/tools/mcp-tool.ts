/**
 * A tool of an MCP server as the engine knows tools. It is only made for an approved definition, and runs only while the
 * server offers that very definition: one that changed, hangs or crashed is a broken tool (the rollout is ungraded), not a
 * wrong answer. Unlike built-in tools it may keep state on its side; whoever marks it for training says that it does not.
 */
import { ParetuneError } from '../../contract/errors.ts';
import { type McpServer, mcpPrefix } from '../../contract/mcp.ts';
import { connectMcp, type McpConnection, type McpLimits, mcpLimits } from './mcp-connection.ts';
import { definitionHash, primaryArgumentOf, readable, specOf } from './mcp-definition.ts';
import type { Tool } from './tool.ts';

/** The longest output, in UTF-16 units. */
const longestOutput = 16_384;

export type McpHost = {
  /** the tool, whose definition must have the hash. Errors: `tool`, where the server offers another one or none. */
  tool(name: string, hash: string): Promise<Tool>;
  close(): Promise<void>;
};

/** One server, started when its first tool is asked for and again after it broke. Its tools share it; closing one closes it. */
export function mcpHost(server: string, launch: McpServer, limits: McpLimits = mcpLimits): McpHost {
  let connection: Promise<McpConnection> | null = null;
  let closed = false;

  async function connected(): Promise<McpConnection> {
    if (closed) throw new Error(`the MCP server ${server} was closed`);
    const tried = connection;
    const known = await tried?.catch(() => null);
    if (known?.isOpen() && !known.hasChanged()) return known;
    // several calls may find it broken: the first begins it anew
    if (connection === tried) {
      connection = null;
      await known?.close();
    }
    connection ??= connectMcp(server, launch, limits);
    return connection;
  }

  /** The definition of that hash, or the reason why there is none. */
  async function definitionOf(name: string, hash: string) {
    const { definitions } = await connected();
    const found = definitions.find((definition) => definition.name === name);
    const full = `${mcpPrefix}${server}/${name}`;
    if (found === undefined) {
      throw new ParetuneError('tool', `The MCP server ${server} no longer offers the tool ${name}.`, {
        hint: `Leave it out, or look at what there is: in the Tools view, or with paretune tools look ${server}`,
      });
    }
    if (definitionHash(launch, found) !== hash) throw changedDefinition(full);
    return found;
  }

  const close = async () => {
    closed = true;
    await (await connection?.catch(() => null))?.close();
  };

  return {
    close,
    async tool(name, hash) {
      const spec = specOf(await definitionOf(name, hash));
      return {
        spec,
        primaryArgument: primaryArgumentOf(spec),
        async call(args) {
          const start = performance.now();
          await definitionOf(name, hash);
          const answer = await (await connected()).call(name, args).catch((error: unknown) => {
            if (error instanceof Error && 'code' in error && typeof error.code === 'number') {
              return { isError: true, text: `error: ${error.message}` };
            }
            throw error;
          });
          const text = withoutControls(answer.text);
          const milliseconds = performance.now() - start;
          if (text.length > longestOutput) {
            return { status: 'output', output: `error: more than ${longestOutput} characters`, milliseconds };
          }
          return { status: answer.isError ? 'error' : 'ok', output: text, milliseconds };
        },
        async check() {
          const start = performance.now();
          const done = (ok: boolean, message: string) => ({ ok, message, milliseconds: performance.now() - start });
          try {
            await definitionOf(name, hash);
            return done(true, 'ok');
          } catch (error) {
            return done(false, readable(error instanceof Error ? error.message : String(error)));
          }
        },
        close,
      };
    },
  };
}

export function changedDefinition(tool: string): ParetuneError {
  return new ParetuneError('tool', `The definition of ${tool} is not the one that was approved: it has changed.`, {
    hint: `Read it as it is now and decide again: in the Tools view, or with paretune tools approve ${tool}`,
  });
}

/** Output is data: no terminal escapes, no broken surrogates. Special tokens are the tokenizer's guard's matter. */
function withoutControls(text: string): string {
  return text
    .toWellFormed()
    .replace(/\p{Cc}/gu, (character) => (character === '\n' || character === '\t' ? character : ''));
}
