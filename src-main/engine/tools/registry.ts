/** The built-in tools by name, as a run configuration lists them. What they do is in their own files. */
import { ParetuneError } from '../../contract/errors.ts';
import { makeCalculatorTool } from './calculator.ts';
import { memoised } from './memoised.ts';
import { makePythonTool, type PythonOptions } from './python.ts';
import { type CorpusIndex, makeSearchTool, type SearchOptions } from './search.ts';
import type { Tool, ToolHealth } from './tool.ts';

export type ToolOptions = { corpus?: CorpusIndex; python?: PythonOptions; search?: SearchOptions };

const makers: Record<string, (options: ToolOptions) => Tool> = {
  calculator: makeCalculatorTool,
  python: ({ python }) => memoised(makePythonTool(python)),
  search({ corpus, search }) {
    if (corpus) return memoised(makeSearchTool(corpus, search));
    throw new ParetuneError('tool', 'The tool search needs a corpus.', {
      hint: 'Give the task a `corpus` file; it is indexed once.',
    });
  },
};

/** The names that `makeTools` knows. */
export const toolNames: readonly string[] = Object.keys(makers);

/** The named tools in the order given. Throws a ParetuneError for an unknown name, or a `search` without a corpus. */
export function makeTools(names: readonly string[], options: ToolOptions = {}): Map<string, Tool> {
  const unknown = names.find((name) => !Object.hasOwn(makers, name));
  if (unknown !== undefined) {
    throw new ParetuneError('tool', `There is no tool "${unknown}"; there are ${toolNames.join(', ')}.`, {
      hint: 'Correct the name in `tools`.',
    });
  }
  return new Map(names.map((name) => [name, makers[name](options)]));
}

/** The health of each tool, asked at the same time. Never rejects. */
export async function checkTools(tools: ReadonlyMap<string, Tool>): Promise<Map<string, ToolHealth>> {
  const checks = [...tools].map(async ([name, tool]): Promise<[string, ToolHealth]> => [name, await tool.check()]);
  return new Map(await Promise.all(checks));
}

/** Checks every tool and throws one ParetuneError that names those that do not work. */
export async function requireHealthyTools(tools: ReadonlyMap<string, Tool>): Promise<void> {
  const broken = [...(await checkTools(tools))].filter(([, health]) => !health.ok);
  if (broken.length === 0) return;
  const list = broken.map(([name, health]) => `${name} (${health.message})`).join('; ');
  throw new ParetuneError('tool', `These tools do not work: ${list}.`, {
    hint: 'An agent with a broken tool looks like an agent that will not use it. Repair the tool or leave it out.',
  });
}

/** Closes all of them. */
export async function closeTools(tools: ReadonlyMap<string, Tool>): Promise<void> {
  await Promise.all([...tools.values()].map((tool) => tool.close()));
}
