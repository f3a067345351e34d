/** `window-models`: the bundled agents and what was imported. A model that cannot be opened is listed with the reason. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { ModelRow } from '../../contract/window-api.ts';
import { starterNames } from '../../engine/run/agent.ts';
import { defineCommand } from '../command.ts';
import { describeModel } from '../describe-model.ts';

export const command = defineCommand({
  payload: z.strictObject({}),
  async run(_, { dataFolder }): Promise<{ models: ModelRow[] }> {
    const folder = join(dataFolder, 'models');
    const imported = existsSync(folder) ? readdirSync(folder).filter((name) => !name.endsWith('.partial')) : [];
    const names = [...starterNames.map((name) => `starter:${name}`), ...imported.map((name) => `imported:${name}`)];
    return { models: names.map((name) => describeModel(dataFolder, name)) };
  },
});
