/** Tools by name with what they need opened, for one command: made, used and closed in one place. */
import { ParetuneError } from '../contract/errors.ts';
import { closeTools, makeTools, toolNames } from '../engine/tools/registry.ts';
import type { Tool } from '../engine/tools/tool.ts';
import type { CommandContext } from './command.ts';
import { openCorpus } from './corpora.ts';

/**
 * Hands the named tools to `use` and closes them when it is done. `corpus` is the path of a corpus file, which only
 * `search` needs. Throws for an unknown name, or `search` without a corpus.
 */
export async function withTools<T>(
  names: readonly string[],
  corpus: string | undefined,
  context: Pick<CommandContext, 'dataFolder' | 'progress'>,
  use: (tools: Map<string, Tool>) => Promise<T>,
): Promise<T> {
  const unknown = names.find((name) => !toolNames.includes(name));
  if (unknown !== undefined) {
    throw new ParetuneError('not-found', `There is no tool ${unknown}; there are ${toolNames.join(', ')}.`);
  }
  if (names.includes('search') && corpus === undefined) {
    throw new ParetuneError('usage', 'The tool search needs a corpus.', { hint: 'Name one with --corpus FILE.' });
  }
  const index = corpus === undefined ? undefined : await openCorpus({ path: corpus }, context);
  try {
    const tools = makeTools(names, { corpus: index });
    try {
      return await use(tools);
    } finally {
      await closeTools(tools);
    }
  } finally {
    index?.close();
  }
}
