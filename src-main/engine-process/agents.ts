/** Agents as commands name them: a starter, an imported model, a folder, or a run at one of its checkpoints. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ParetuneError } from '../contract/errors.ts';
import { type Agent, openAgent, starterNames } from '../engine/run/agent.ts';
import { loadPolicy } from '../engine/run/load-policy.ts';
import type { Policy } from '../engine/runtime/policy.ts';
import { runFolder, type Store } from '../store/open-store.ts';
import { partialNameOf } from './model-copy.ts';
import { pickCheckpoint } from './pick-checkpoint.ts';

/** Names what `paretune import` copied into the data folder. */
const importedPrefix = 'imported:';

/** The folder of an imported model, whether it exists or not. Errors: `usage` for a name that is no plain file name. */
export function importedFolder(dataFolder: string, name: string): string {
  if (partialNameOf(name) === null && /^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u.test(name))
    return join(dataFolder, 'models', name);
  throw new ParetuneError('usage', `${JSON.stringify(name)} cannot name a model.`, {
    hint: 'Use at most 64 letters, digits, dots, dashes and underscores, not `.partial` or `.download` at the end.',
  });
}

/** The bundled agents and what was imported, as runs name them. */
export function modelNames(dataFolder: string): string[] {
  const folder = join(dataFolder, 'models');
  const imported = existsSync(folder) ? readdirSync(folder).filter((name) => partialNameOf(name) === null) : [];
  return [...starterNames.map((name) => `starter:${name}`), ...imported.map((name) => importedPrefix + name)];
}

/** Opens `starter:NAME`, `imported:NAME` or a folder. */
export function openAgentOf(dataFolder: string, model: string): Agent {
  if (!model.startsWith(importedPrefix)) return openAgent(model);
  const name = model.slice(importedPrefix.length);
  const folder = importedFolder(dataFolder, name);
  if (existsSync(folder)) return openAgent(folder);
  throw new ParetuneError('not-found', `No model was imported as ${name}.`, {
    hint: `paretune import FOLDER_OR_GGUF --as ${name}`,
  });
}

/** A policy and the agent it belongs to. `run` and `step` say where it comes from, null for a model as it is. */
export type OpenPolicy = { agent: Agent; policy: Policy; run: string | null; step: number | null };

/** The policy of a run at a checkpoint (`best`, `last`, `frontier:K` or a step), as it was saved. */
export function openRunPolicy(store: Store, run: string, checkpoint: string): OpenPolicy {
  const { runId, config } = store.getRun(run);
  const { folder, step } = pickCheckpoint(store, runId, checkpoint);
  const agent = openAgentOf(store.dataFolder, config.model);
  const policy = loadPolicy(agent, config, join(runFolder(store.dataFolder, runId), folder));
  return { agent, policy, run: runId, step };
}
