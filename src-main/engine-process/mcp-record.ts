/**
 * The MCP servers of a data folder and what the user allowed: `tools.json`, read and written whole. A JSON file and not a
 * table of the database, because it must be writable while a run holds the database, and readable by the user. A damaged or
 * foreign file is refused, never repaired: an approval is not to be guessed.
 */
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import {
  type McpEntry,
  type McpRecord,
  mcpRecordSchema,
  type McpServerRow,
  type McpToolRow,
  mcpPrefix,
  mcpServerName,
  mcpToolName,
  shownCommand,
} from '../contract/mcp.ts';
import { writeFileAtomic } from '../engine/base/atomic-file.ts';
import { definitionHash, type McpDefinition, specOf } from '../engine/tools/mcp-definition.ts';

const fileName = 'tools.json';
const mostBytes = 32 * 2 ** 20;
const mostServers = 64;

/** The record; an empty one where there is no file yet. Errors: `bad-file`. */
export function readMcpRecord(dataFolder: string): McpRecord {
  const path = join(dataFolder, fileName);
  if (!existsSync(path)) return { version: 1, servers: {} };
  const refuse = (what: string, cause?: unknown): never => {
    throw new ParetuneError('bad-file', `${path} cannot be read: ${what}.`, {
      hint: 'It holds the MCP servers and what they may do. Put it right, or remove it and add the servers again.',
      cause,
    });
  };
  if (statSync(path).size > mostBytes) refuse('it is too large');
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    refuse((cause as Error).message, cause);
  }
  const { success, data, error } = mcpRecordSchema.safeParse(value);
  return success ? data : refuse(z.prettifyError(error));
}

/** Reads, changes and writes the record in one go. */
export function changeMcpRecord(dataFolder: string, change: (servers: McpRecord['servers']) => void): void {
  const record = readMcpRecord(dataFolder);
  change(record.servers);
  if (Object.keys(record.servers).length > mostServers) {
    throw new ParetuneError('usage', `At most ${mostServers} MCP servers can be kept.`, { hint: 'Remove one first.' });
  }
  mkdirSync(dataFolder, { recursive: true });
  writeFileAtomic(join(dataFolder, fileName), `${JSON.stringify(record, null, 2)}\n`);
}

/** The entry of a server. Errors: `not-found`, which names those there are. */
export function entryOf(servers: McpRecord['servers'], name: string): McpEntry {
  if (mcpServerName.safeParse(name).success && Object.hasOwn(servers, name)) return servers[name];
  const known = Object.keys(servers);
  throw new ParetuneError(
    'not-found',
    `There is no MCP server ${name}; ${known.length > 0 ? `there are ${known.join(', ')}` : 'none was added'}.`,
    {
      hint: 'One is added in the Tools view, or with paretune tools add NAME -- COMMAND ARGUMENTS',
    },
  );
}

/** `mcp:SERVER/TOOL` in its parts. Errors: `usage`. */
export function partsOf(name: string): { server: string; tool: string } {
  if (!mcpToolName.safeParse(name).success) {
    throw new ParetuneError('usage', `${JSON.stringify(name)} names no tool of an MCP server.`, {
      hint: 'Such a tool is called mcp:SERVER/TOOL; paretune tools list shows them.',
    });
  }
  const [server, tool] = name.slice(mcpPrefix.length).split('/');
  return { server, tool };
}

/** What is kept of each server as the user sees it. */
export function serverRows({ servers }: McpRecord): McpServerRow[] {
  return Object.entries(servers).map(([name, entry]) => ({
    name,
    server: entry.server,
    reached: shownCommand(entry.server),
    tools: toolRows(name, entry),
  }));
}

/** What a person reads of a definition. */
function shownOf(definition: object | undefined): McpToolRow['before'] {
  if (definition === undefined) return null;
  const { description, parameters } = specOf(definition as McpDefinition);
  return { description, parameters };
}

function toolRows(server: string, { server: launch, seen, approvals }: McpEntry): McpToolRow[] {
  const offered = seen.map((item): McpToolRow => {
    const definition = item as McpDefinition;
    const { name, description, parameters } = specOf(definition);
    const hash = definitionHash(launch, definition);
    const approval = Object.hasOwn(approvals, name) ? approvals[name] : undefined;
    const state = approval === undefined ? 'unapproved' : approval.hash === hash ? 'approved' : 'changed';
    return {
      name: `${mcpPrefix}${server}/${name}`,
      description,
      parameters,
      hash,
      state,
      unattended: approval?.unattended ?? false,
      price: approval?.price ?? 1,
      before: state === 'changed' ? shownOf(approval?.definition) : null,
    };
  });
  const names = new Set(seen.map(({ name }) => name));
  const gone = Object.entries(approvals)
    .filter(([tool]) => !names.has(tool))
    .map(
      ([tool, { hash, unattended, price }]): McpToolRow => ({
        name: `${mcpPrefix}${server}/${tool}`,
        description: '',
        parameters: null,
        hash,
        state: 'gone',
        unattended,
        price,
        before: null,
      }),
    );
  return [...offered, ...gone];
}
