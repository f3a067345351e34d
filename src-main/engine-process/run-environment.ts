/**
 * The environment of a run's settings: its tasks and tools, those of MCP servers only as approved to run unattended and with
 * the definitions that the run was begun with. Training, measuring and every check before a start go through here.
 */
import type { RunConfig } from '../contract/run-config.ts';
import type { Agent } from '../engine/run/agent.ts';
import { type Environment, openEnvironment } from '../engine/run/environment.ts';
import type { CommandContext } from './command.ts';
import { corpusOpener } from './corpora.ts';
import { ownToolOpener } from './own-tools.ts';

/** To be closed by the caller. Throws as openEnvironment does, and `tool` for a tool that may not run. */
export function openRunEnvironment(
  agent: Agent,
  config: RunConfig,
  context: Pick<CommandContext, 'dataFolder' | 'progress'>,
): Promise<Environment> {
  const own = ownToolOpener(context.dataFolder, 'unattended', config.toolDefinitions);
  return openEnvironment(agent, config, corpusOpener(context), own);
}
