/**
 * Definitions of tools as an MCP server sends them: bounded, cleaned of what hides from a reader, hashed. A definition is
 * untrusted text that a user approves and a model reads; its annotations ("read only") are shown as they are and decide
 * nothing.
 */
import { createHash } from 'node:crypto';
import { type McpServer, mcpToolPart } from '../../contract/mcp.ts';
import { ParetuneError } from '../../contract/errors.ts';
import type { Json, ToolSpec } from '../../contract/records.ts';

export type McpDefinition = { [key: string]: Json };

const mostTools = 128;
/** UTF-16 units of one definition as JSON, and of all of a server */
const longestDefinition = 16_384;
const longestList = 524_288;
const deepest = 24;

/**
 * The definitions a server offers, checked. Throws `tool` for more than 128 tools, more than 16 KiB in one or 512 KiB in
 * all, names that are no names or twice the same, parameters that are no JSON Schema of an object.
 */
export function checkDefinitions(server: string, list: readonly unknown[]): McpDefinition[] {
  const refuse = (what: string): never => {
    throw new ParetuneError('tool', `The MCP server ${server} ${what}.`, {
      hint: 'Such definitions are not used. Ask who made the server, or remove it: paretune tools remove NAME',
    });
  };
  if (list.length > mostTools) refuse(`offers ${list.length} tools; at most ${mostTools} are taken`);
  const names = new Set<string>();
  let length = 0;
  return list.map((item) => {
    const text = JSON.stringify(item) ?? '';
    length += text.length;
    if (text.length > longestDefinition || length > longestList) {
      refuse(
        `sent ${text.length} characters for one tool, ${length} in all; at most ${longestDefinition} and ${longestList} are taken`,
      );
    }
    const definition = JSON.parse(text) as McpDefinition;
    delete definition._meta; // of the transport, and may differ from call to call
    const { name, inputSchema } = definition;
    if (typeof name !== 'string' || !mcpToolPart.test(name)) {
      return refuse(
        `offers a tool named ${JSON.stringify(name)?.slice(0, 80)}; letters, digits, _ . and - are allowed, at most 64`,
      );
    }
    if (names.has(name)) refuse(`offers the tool ${name} twice`);
    names.add(name);
    if (depthOf(definition) > deepest) refuse(`nests the definition of ${name} deeper than ${deepest} levels`);
    if (!isObject(inputSchema) || inputSchema.type !== 'object') refuse(`has no JSON Schema of an object for ${name}`);
    return definition;
  });
}

/** sha256 over the definition and how its server is reached: equal only where both are. */
export function definitionHash(server: McpServer, definition: McpDefinition): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted({ server, definition } as Json)))
    .digest('hex');
}

/** The tool as the chat template shows it: its own name, description and whole JSON Schema, in readable characters only. */
export function specOf(definition: McpDefinition): ToolSpec {
  const { name, description, inputSchema } = cleaned(definition) as { [key: string]: Json };
  const { properties, required, ...rest } = inputSchema as { [key: string]: Json };
  return {
    name: name as string,
    description: typeof description === 'string' ? description : '',
    parameters: {
      ...rest,
      type: 'object',
      properties: isObject(properties)
        ? Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, isObject(value) ? value : {}]))
        : {},
      required: Array.isArray(required) ? required.filter((item) => typeof item === 'string') : [],
    },
  };
}

/** The argument that a bare text is given as: the first required one, else the first there is. */
export function primaryArgumentOf({ parameters }: ToolSpec): string {
  return parameters.required[0] ?? Object.keys(parameters.properties)[0] ?? 'input';
}

/** Text without control characters (terminal escapes) and without invisible ones (tags, bidirectional overrides). */
export function readable(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}]/gu, (character) => (character === '\n' || character === '\t' ? character : ''));
}

function cleaned(value: Json): Json {
  if (typeof value === 'string') return readable(value);
  if (Array.isArray(value)) return value.map(cleaned);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [readable(key), cleaned(item)]));
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  // pairs, not an object: an object would put keys like "1" first
  return Object.keys(value)
    .sort()
    .map((key) => [key, sorted(value[key])]);
}

function depthOf(value: Json): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

function isObject(value: unknown): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
