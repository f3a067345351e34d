/**
 * Who may run which tool of an MCP server: the one gate between the user's approvals and a call. It is passed before a
 * server is even started; that the server then offers the approved definition is checked by the tool (mcp-tool.ts).
 */
import { ParetuneError } from '../contract/errors.ts';
import { type McpApproval, mcpPrefix } from '../contract/mcp.ts';
import type { RunConfig } from '../contract/run-config.ts';
import type { OwnToolOpener } from '../engine/run/environment.ts';
import { changedDefinition, type McpHost, mcpHost } from '../engine/tools/mcp-tool.ts';
import { definitionHash, type McpDefinition } from '../engine/tools/mcp-definition.ts';
import { entryOf, partsOf, readMcpRecord } from './mcp-record.ts';

/** `attended`: a person looks on (chat, a try by hand). `unattended`: training, measuring. */
export type Watch = 'attended' | 'unattended';

/** The user's approval of a tool as it was last seen. Errors: `tool`, with what to do; `not-found`, `usage`. */
export function approvalOf(dataFolder: string, name: string, watch: Watch): McpApproval {
  const { server, tool } = partsOf(name);
  const { seen, approvals, server: launch } = entryOf(readMcpRecord(dataFolder).servers, server);
  const approval = Object.hasOwn(approvals, tool) ? approvals[tool] : undefined;
  if (approval === undefined) {
    throw new ParetuneError('tool', `The tool ${name} was not approved.`, {
      hint: `Read what it is, then decide: in the Tools view, or with paretune tools approve ${name}`,
    });
  }
  const definition = seen.find((item) => item.name === tool) as McpDefinition | undefined;
  if (definition !== undefined && definitionHash(launch, definition) !== approval.hash) throw changedDefinition(name);
  if (watch === 'unattended' && !approval.unattended) {
    throw new ParetuneError('tool', `The tool ${name} may not run unattended: nobody looks on in training.`, {
      hint: `If its calls change nothing outside, mark it: in the Tools view, or with paretune tools approve ${name} --unattended`,
    });
  }
  const { hash, unattended, price } = approval;
  return { hash, unattended, price };
}

/**
 * Opens approved tools, one connection a server. `pins` are the hashes that a run was begun with: a tool that was approved
 * anew since, with another definition, is refused.
 */
export function ownToolOpener(
  dataFolder: string,
  watch: Watch,
  pins: Readonly<Record<string, string>> = {},
): OwnToolOpener {
  const hosts = new Map<string, McpHost>();
  return async (name) => {
    const { hash } = approvalOf(dataFolder, name, watch);
    if (Object.hasOwn(pins, name) && pins[name] !== hash) {
      throw new ParetuneError(
        'tool',
        `The run was begun with another definition of ${name} than the one approved now.`,
        {
          hint: 'What was learned with one tool is not continued with another: start a new run.',
        },
      );
    }
    const { server, tool } = partsOf(name);
    const host = hosts.get(server) ?? mcpHost(server, entryOf(readMcpRecord(dataFolder).servers, server).server);
    hosts.set(server, host);
    try {
      return await host.tool(tool, hash);
    } catch (error) {
      await host.close();
      hosts.delete(server);
      throw error;
    }
  };
}

/**
 * A new run's settings with the approved price and the hash of each of its MCP tools. Refuses those that may not run in
 * training, and hashes in the settings (of an earlier run that they were taken from) that are not the approved ones.
 */
export function withOwnTools(config: RunConfig, dataFolder: string): RunConfig {
  const own = config.tools.filter((name) => name.startsWith(mcpPrefix));
  const stray = Object.keys(config.toolDefinitions).find((name) => !own.includes(name));
  if (stray !== undefined) {
    throw new ParetuneError('config', `toolDefinitions names ${stray}, which is not among the run's tools.`, {
      hint: 'Leave toolDefinitions out; it is filled in.',
    });
  }
  const approvals = own.map((name) => [name, approvalOf(dataFolder, name, 'unattended')] as const);
  const other = approvals.find(([name, { hash }]) => (config.toolDefinitions[name] ?? hash) !== hash);
  if (other !== undefined) {
    throw new ParetuneError('tool', `The definition of ${other[0]} has changed since these settings were made.`, {
      hint: 'What was learned with one tool is not compared with another. To use it as it is approved now, take it out of the tools and choose it again.',
    });
  }
  return {
    ...config,
    toolDefinitions: Object.fromEntries(approvals.map(([name, { hash }]) => [name, hash])),
    prices: { ...Object.fromEntries(approvals.map(([name, { price }]) => [name, price])), ...config.prices },
  };
}
