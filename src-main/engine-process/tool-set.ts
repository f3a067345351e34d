/** Tools by name with what they need opened, for one command: made, used and closed in one place. */
import { ParetuneError } from '../contract/errors.ts';
import { mcpPrefix } from '../contract/mcp.ts';
import { closeTools, makeTools, toolNames } from '../engine/tools/registry.ts';
import type { Tool } from '../engine/tools/tool.ts';
import type { CommandContext } from './command.ts';
import { openCorpus } from './corpora.ts';
import { ownToolOpener } from './own-tools.ts';

/**
 * Hands the named tools to `use` and closes them when it is done. `corpus` is the path of a corpus file, which only
 * `search` needs. Throws for an unknown name, `search` without a corpus, or an `mcp:SERVER/TOOL` that was not approved.
 */
export async function withTools<T>(
  names: readonly string[],
  corpus: string | undefined,
  context: Pick<CommandContext, 'dataFolder' | 'progress'>,
  use: (tools: Map<string, Tool>) => Promise<T>,
): Promise<T> {
  const own = names.filter((name) => name.startsWith(mcpPrefix));
  const builtIn = names.filter((name) => !own.includes(name));
  const unknown = builtIn.find((name) => !toolNames.includes(name));
  if (unknown !== undefined) {
    throw new ParetuneError('not-found', `There is no tool ${unknown}; there are ${toolNames.join(', ')}.`, {
      hint: 'Tools of MCP servers are called mcp:SERVER/TOOL; paretune tools list shows them.',
    });
  }
  if (names.includes('search') && corpus === undefined) {
    throw new ParetuneError('usage', 'The tool search needs a corpus.', { hint: 'Name one with --corpus FILE.' });
  }
  const index = corpus === undefined ? undefined : await openCorpus({ path: corpus }, context);
  const tools = new Map<string, Tool>();
  try {
    for (const [name, tool] of makeTools(builtIn, { corpus: index })) tools.set(name, tool);
    const open = ownToolOpener(context.dataFolder, 'attended');
    for (const name of own) tools.set(name, await open(name));
    return await use(tools);
  } finally {
    await closeTools(tools);
    index?.close();
  }
}
