/**
 * MCP servers of the user's own and what the user allowed them: the record that is kept in the data folder, and the rows
 * that the command line and the window show. What a tool does and how a server is spoken to is engine/tools.
 */
import { z } from 'zod';
import type { Json } from './records.ts';

/** `mcp:SERVER/TOOL`, as runs, prices and commands name such a tool. */
export const mcpPrefix = 'mcp:';

export const mcpServerName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,31}$/, 'at most 32 of a-z, 0-9, dash and underscore, beginning with a letter or digit');
/** MCP's own rule for names of tools, without what would be read as a path. */
export const mcpToolPart = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;
export const mcpToolName = z
  .string()
  .regex(/^mcp:[a-z0-9][a-z0-9_-]{0,31}\/[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/, 'mcp:SERVER/TOOL');
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a sha256 in hexadecimal');

const noNull = (text: string) => !text.includes('\0');
const launchText = z.string().max(4096).refine(noNull, 'no zero characters');

/** How a server is reached: a program with its arguments, never a shell line, or one address. */
export const mcpServerSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('stdio'),
    command: launchText.min(1),
    args: z.array(launchText).max(64).default([]),
    /** names of environment variables that it gets besides the harmless ones; their values are never stored */
    env: z
      .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/))
      .max(32)
      .default([]),
  }),
  z.strictObject({ kind: z.literal('http'), url: z.string().min(1).max(2048) }),
]);
export type McpServer = z.output<typeof mcpServerSchema>;
export type McpServerInput = z.input<typeof mcpServerSchema>;

const price = z.number().min(0).max(1e12);

/** What the user allowed: this very definition, at this price, and whether it may run with nobody watching. */
export const mcpApprovalSchema = z.strictObject({ hash: sha256, unattended: z.boolean(), price });
export type McpApproval = z.output<typeof mcpApprovalSchema>;

const definition = z.record(z.string(), z.json());

/** An approval as it is kept: with the definition it was given for, so that what has changed since can be shown. */
const keptApproval = z.strictObject({ ...mcpApprovalSchema.shape, definition: definition.optional() });

/** One server's entry: how it is reached, the definitions last seen, the approvals by tool. */
export const mcpEntrySchema = z.strictObject({
  server: mcpServerSchema,
  seen: z.array(definition).max(128),
  approvals: z.record(z.string().regex(mcpToolPart), keptApproval),
});
export type McpEntry = z.output<typeof mcpEntrySchema>;

export const mcpRecordSchema = z.strictObject({
  version: z.literal(1),
  servers: z.record(mcpServerName, mcpEntrySchema),
});
export type McpRecord = z.output<typeof mcpRecordSchema>;

/** `changed`: approved once, but its definition or its server is another now. `gone`: approved, no longer offered. */
export type McpToolState = 'approved' | 'unapproved' | 'changed' | 'gone';

export type McpToolRow = {
  /** mcp:SERVER/TOOL */
  name: string;
  description: string;
  /** its JSON Schema, null when it is gone */
  parameters: Json;
  /** of the definition last seen, with how its server is reached: what an approval pins */
  hash: string;
  state: McpToolState;
  unattended: boolean;
  price: number;
  /** of a `changed` tool: what it said and took when it was approved; null where that was not kept */
  before: { description: string; parameters: Json } | null;
};

export type McpServerRow = {
  name: string;
  server: McpServer;
  /** the whole command, or the address, as it is used */
  reached: string;
  tools: McpToolRow[];
};

/**
 * The command with its arguments as a shell would need them, or the address: only for showing, nothing is ever given to a
 * shell. What cannot be seen, or turns the direction of what can, is written out as \u{...}.
 */
export function shownCommand(server: McpServer): string {
  if (server.kind === 'http') return visible(URL.canParse(server.url) ? new URL(server.url).href : server.url);
  const quoted = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : visible(JSON.stringify(text)));
  return [server.command, ...server.args].map(quoted).join(' ');
}

function visible(text: string): string {
  return text.replace(
    /\p{C}|(?! )\p{Z}|\p{Default_Ignorable_Code_Point}|\u2800/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
