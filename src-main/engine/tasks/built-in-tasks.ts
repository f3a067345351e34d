/** The built-in tasks by name, and how a name or a path of the run configuration becomes a task. */
import { ParetuneError } from '../../contract/errors.ts';
import { arithmeticTask } from './arithmetic.ts';
import { multiHopTask } from './multi-hop.ts';
import type { TaskSource } from './task.ts';
import { isTaskFile, type OpenTaskOptions, openTask } from './user-task.ts';

const makers: Record<string, () => TaskSource> = {
  arithmetic: () => arithmeticTask('python'),
  'arithmetic-calculator': () => arithmeticTask('calculator'),
  'multi-hop': multiHopTask,
};

/** The names that `resolveTask` knows without a file. */
export const builtInTaskNames: readonly string[] = Object.keys(makers);

/**
 * A built-in task by its name, or a task file by its path. Throws a ParetuneError for a name that is neither, and for
 * options beside a built-in task, which would do nothing.
 */
export async function resolveTask(nameOrPath: string, options: OpenTaskOptions = {}): Promise<TaskSource> {
  if (Object.hasOwn(makers, nameOrPath)) {
    const idle = Object.keys(options);
    if (idle.length === 0) return makers[nameOrPath]();
    throw new ParetuneError('config', `The built-in task ${nameOrPath} takes no options, but got ${idle.join(', ')}.`, {
      hint: 'Options belong to task files.',
    });
  }
  if (isTaskFile(nameOrPath)) return openTask(nameOrPath, options);
  throw new ParetuneError('not-found', `There is no task "${nameOrPath}"; there are ${builtInTaskNames.join(', ')}.`, {
    hint: 'Name one of these, or the path of a JSONL, GSM8K, SVAMP or HotpotQA file.',
  });
}
