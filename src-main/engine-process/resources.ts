/** Where the files that ship with Paretune are: the same step up from src-main/ in a checkout and from dist/ in a package. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ParetuneError } from '../contract/errors.ts';

/** Absolute path of resources/. */
export const resourcesFolder: string = fileURLToPath(new URL('../../resources', import.meta.url));

/** The bundled agents: what `starter:NAME` may name. */
export const starterNames = ['over-user', 'under-user'] as const;

/** The folder of a model as a run names it: `starter:over-user`, or a path. */
export function modelFolder(model: string): string {
  if (!model.startsWith('starter:')) return model;
  const name = model.slice('starter:'.length);
  if (!(starterNames as readonly string[]).includes(name)) {
    throw new ParetuneError('not-found', `There is no starter agent ${name}; there are ${starterNames.join(', ')}.`);
  }
  const folder = join(resourcesFolder, 'starter', name);
  if (existsSync(folder)) return folder;
  throw new ParetuneError('not-found', `The starter agent ${name} is missing from this installation (${folder}).`, {
    hint: 'In a checkout, npm run starter builds it; otherwise install Paretune again.',
  });
}
