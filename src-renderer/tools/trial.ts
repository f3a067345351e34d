/** Trying a tool by hand: what was typed as the input of a call, and the servers of tools. Pure. */
import type { Json } from '../../src-main/contract/records.ts';

/** All arguments where they are typed as a JSON object, else the text for the main one. */
export function inputOf(text: string): Json {
  if (!text.trimStart().startsWith('{')) return text;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

/** The argument that a bare text is given as, as the engine chooses it: the first required one, else the first there is. */
export function argumentOf(parameters: Json): string {
  const { required, properties } = (parameters ?? {}) as { required?: string[]; properties?: Record<string, Json> };
  return required?.[0] ?? Object.keys(properties ?? {})[0] ?? 'input';
}

/** The servers of the MCP tools among these, each once. */
export function serversOf(tools: readonly string[]): string[] {
  return [...new Set(tools.flatMap((tool) => /^mcp:([^/]+)\//.exec(tool)?.[1] ?? []))];
}
