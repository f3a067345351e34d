/**
 * Where an agent acts: the tasks of a run with their tools, how each problem is turned into tokens, and how an answer is
 * judged. Nothing here learns.
 */
import { ParetuneError } from '../../contract/errors.ts';
import type { ChatMessage, Problem, Split, ToolResult, Trajectory } from '../../contract/records.ts';
import { mcpPrefix } from '../../contract/mcp.ts';
import type { RunConfig } from '../../contract/run-config.ts';
import type { CallTool, TurnFormat } from '../rollout/collect.ts';
import { resolveTask } from '../tasks/built-in-tasks.ts';
import { grade } from '../tasks/grade.ts';
import type { TaskSource } from '../tasks/task.ts';
import type { OpenTaskOptions } from '../tasks/user-task.ts';
import { closeTools, makeTools, requireHealthyTools } from '../tools/registry.ts';
import type { CorpusIndex } from '../tools/search.ts';
import type { Tool } from '../tools/tool.ts';
import type { Agent } from './agent.ts';

export type CorpusOpener = (corpus: NonNullable<TaskSource['corpus']>) => Promise<CorpusIndex & { close(): void }>;

/** A tool of the user's own, `mcp:SERVER/TOOL`. Throws where it may not run. */
export type OwnToolOpener = (name: string) => Promise<Tool>;

export type Environment = {
  tasks: readonly TaskSource[];
  /** names of all tools in use, over all tasks */
  toolNames: readonly string[];
  /** distinct problems of a split, `count` a task, the tasks dealt in turn */
  problems(split: Split, count: number, seed: number): Problem[];
  formatOf(problem: Problem): TurnFormat;
  callTool: CallTool;
  /** true, false, or null where it cannot be judged: a time-out, a broken tool, a grader that failed */
  grade(problem: Problem, trajectory: Trajectory): Promise<boolean | null>;
  close(): Promise<void>;
};

export type EnvironmentSettings = {
  tasks: readonly string[];
  /** tools for every task; none means those that each task brings */
  tools: readonly string[];
  taskOptions?: RunConfig['taskOptions'];
};

/** Opens tasks and tools and checks that every tool works before anything is spent on a run. */
export async function openEnvironment(
  agent: Agent,
  settings: EnvironmentSettings,
  openCorpus: CorpusOpener,
  openOwnTool: OwnToolOpener = async (name) => makeTools([name]).get(name)!,
): Promise<Environment> {
  const tasks = await Promise.all(settings.tasks.map((name) => resolveTask(name, givenOptions(settings.taskOptions))));
  const corpora: { close(): void }[] = [];
  const toolsOf = new Map<string, Map<string, Tool>>();
  const shared = new Map<string, Tool>();
  const open = async (task: TaskSource) => {
    const names = settings.tools.length > 0 ? [...settings.tools] : task.tools;
    const corpus = names.includes('search') && task.corpus !== null ? await openCorpus(task.corpus) : undefined;
    if (corpus) corpora.push(corpus);
    const tools = new Map<string, Tool>();
    toolsOf.set(task.name, tools);
    for (const name of names) {
      const known = name === 'search' ? undefined : shared.get(name);
      const make = async () =>
        name.startsWith(mcpPrefix) ? openOwnTool(name) : makeTools([name], { corpus }).get(name)!;
      const tool = known ?? (await make());
      if (name !== 'search') shared.set(name, tool);
      tools.set(name, tool);
    }
    refuseSameNames(tools);
  };
  const close = async () => {
    for (const tools of toolsOf.values()) await closeTools(tools);
    for (const corpus of corpora) corpus.close();
  };
  try {
    for (const task of tasks) await open(task);
    const everyTool = new Map([...toolsOf.values()].flatMap((tools) => [...tools]));
    await requireHealthyTools(everyTool);
    const formats = new Map([...toolsOf].map(([task, tools]) => [task, turnFormat(agent, tools)]));
    const runPython = (code: string): Promise<ToolResult> => {
      const python = shared.get('python') ?? makeTools(['python']).get('python')!;
      shared.set('python', python);
      return python.call({ code });
    };
    return {
      tasks,
      toolNames: [...everyTool.keys()],
      problems: (split, count, seed) => inTurn(tasks.map((task) => withTools(task, split, count, seed, toolsOf))),
      formatOf: (problem) => formats.get(problem.task)!,
      callTool: (problem, name, args) => toolsOf.get(problem.task)!.get(name)!.call(args),
      async grade(problem, { stopReason, answer }) {
        if (stopReason === 'time-limit' || stopReason === 'tool-broken') return null;
        return stopReason === 'answer' ? grade(problem, answer, { runPython }) : false;
      },
      async close() {
        await close();
        await shared.get('python')?.close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A model knows a tool by the name in its definition: two alike could not be told apart. */
function refuseSameNames(tools: ReadonlyMap<string, Tool>): void {
  const names = [...tools.values()].map(({ spec }) => spec.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return;
  const which = [...tools].filter(([, { spec }]) => spec.name === twice).map(([name]) => name);
  throw new ParetuneError('tool', `A model would know ${which.join(' and ')} by the same name, ${twice}.`, {
    hint: 'Leave all but one of them out of `tools`.',
  });
}

/** Only what was set: a built-in task refuses options that would do nothing. */
function givenOptions(options: EnvironmentSettings['taskOptions']): OpenTaskOptions {
  return Object.fromEntries(Object.entries(options ?? {}).filter(([, path]) => path !== ''));
}

function withTools(
  task: TaskSource,
  split: Split,
  count: number,
  seed: number,
  toolsOf: ReadonlyMap<string, ReadonlyMap<string, Tool>>,
): Problem[] {
  const tools = [...toolsOf.get(task.name)!.keys()];
  const problems = task.problems(split, count, seed).map((problem) => ({ ...problem, tools }));
  if (problems.length > 0) return problems;
  throw new ParetuneError('bad-data', `The task ${task.name} has no problem in its ${split} split.`, {
    hint: 'Add rows to the file, or name the split of each row in a column `split`.',
  });
}

/** First of each list, second of each list, ... */
function inTurn<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_, i) => lists.flatMap((list) => (i < list.length ? [list[i]] : []))).flat();
}

/**
 * The model's chat format as the rollout loop wants it; renderings that come again and again are remembered. The model
 * knows a tool by the name in its definition, everybody else by its key in `tools` (`mcp:SERVER/TOOL`).
 */
export function turnFormat(agent: Agent, tools: ReadonlyMap<string, Tool>): TurnFormat {
  const format = agent.chatFormat([...tools.values()]);
  const { tokenizer } = agent;
  const suffixes = new Map<string, number[]>();
  const keys = new Map([...tools].map(([key, { spec }]) => [spec.name, key]));
  const modelName = (key: string) => tools.get(key)?.spec.name ?? key;
  const asModelKnows = (message: ChatMessage): ChatMessage => ({
    ...message,
    ...(message.name !== undefined && { name: modelName(message.name) }),
    ...(message.toolCalls && {
      toolCalls: message.toolCalls.map((call) => ({ ...call, name: modelName(call.name) })),
    }),
  });
  return {
    promptTokens: (messages) => format.promptTokens(messages.map(asModelKnows)),
    parseTurn(tokens) {
      const turn = format.parseTurn(tokens);
      return { ...turn, calls: turn.calls.map((call) => ({ ...call, name: keys.get(call.name) ?? call.name })) };
    },
    stopTokens: format.stopTokens,
    toolSuffix(results) {
      const key = JSON.stringify(results);
      const known = suffixes.get(key);
      if (known) return known;
      if (suffixes.size > 20_000) suffixes.clear();
      const tokens = format.toolSuffix(results.map(({ name, content }) => ({ name: modelName(name), content })));
      suffixes.set(key, tokens);
      return tokens;
    },
    cutText(text, count) {
      if (text.length <= count) return text; // a token is at least one character
      const tokens = tokenizer.encode(text, { special: false });
      return tokens.length <= count ? text : tokenizer.decode(tokens.slice(0, count), { skipSpecial: false });
    },
  };
}
