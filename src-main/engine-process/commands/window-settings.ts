/** `window-settings`: what a settings file holds for the form of a new run, or that it is no settings file but one of tasks. */
import { z } from 'zod';
import type { SettingsReading } from '../../contract/window-api.ts';
import { isSettingsFile, readFormSettings } from '../../settings/form-settings.ts';
import { builtInTaskNames } from '../../engine/tasks/built-in-tasks.ts';
import { modelNames } from '../agents.ts';
import { defineCommand } from '../command.ts';

export const command = defineCommand({
  payload: z.strictObject({ file: z.string() }),
  async run({ file }, { dataFolder }): Promise<SettingsReading> {
    if (!isSettingsFile(file)) return { isSettings: false, config: null, given: [], complaints: [] };
    const known = { models: modelNames(dataFolder), tasks: builtInTaskNames };
    return { isSettings: true, ...readFormSettings(file, known) };
  },
});
