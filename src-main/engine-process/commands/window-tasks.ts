/** `window-tasks`: the tasks that come with Paretune. */
import { z } from 'zod';
import type { TaskRow } from '../../contract/window-api.ts';
import { builtInTaskNames, resolveTask } from '../../engine/tasks/built-in-tasks.ts';
import { defineCommand } from '../command.ts';

export const command = defineCommand({
  payload: z.strictObject({}),
  async run(): Promise<{ tasks: TaskRow[] }> {
    const tasks = await Promise.all(builtInTaskNames.map((name) => resolveTask(name)));
    return { tasks: tasks.map(({ name, tools, corpus }) => ({ name, tools, hasCorpus: corpus !== null })) };
  },
});
