#!/usr/bin/env node
/** Entry of the `paretune` command: the list of its commands, and what holds for all of them. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { ParetuneError } from '../contract/errors.ts';
import { examples, report } from './command-line.ts';
import { agentCommands } from './commands/agents.ts';
import { doctorCommand } from './commands/doctor.ts';
import { runCommands } from './commands/runs.ts';
import { studyCommand } from './commands/study.ts';
import { toolsCommand } from './commands/tools.ts';

const { version, description } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
  description: string;
};

const program = new Command('paretune')
  .description(description)
  .version(version)
  .option('--json', 'one JSON object on standard output, progress on standard error')
  .option('--data <folder>', 'the data folder (default: PARETUNE_HOME, else the one of this user)')
  .helpCommand(true)
  .showSuggestionAfterError()
  .configureHelp({ showGlobalOptions: true })
  // commander's own words reach the user through report(), which knows --json
  .configureOutput({ outputError: () => {} })
  .exitOverride()
  .addHelpText(
    'after',
    examples(
      'demo',
      'tune --model starter:over-user --task arithmetic',
      'show last',
      "tools try python 'print(2**64)'",
      'doctor',
    ),
  );

for (const addCommand of [agentCommands, runCommands, studyCommand, toolsCommand, doctorCommand]) addCommand(program);

// a reader that has seen enough (`| head`), or a terminal that was closed, is no fault
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

try {
  const args = process.argv.slice(2);
  await program.parseAsync(args.length > 0 ? args : ['--help'], { from: 'user' });
} catch (error) {
  process.exitCode = failure(error);
}

/** Wrong usage, or help and version, which commander throws as well. */
function failure(error: unknown): number {
  const json = process.argv.includes('--json');
  if (!(error instanceof CommanderError)) return report(error, json);
  if (error.exitCode === 0) return 0;
  const message = error.message.replace(/^error: /, '');
  // a group of commands without one (`paretune tools`): commander has printed its help
  if (error.code === 'commander.help')
    return json ? report(new ParetuneError('usage', 'A command is missing.'), true) : 2;
  return report(new ParetuneError('usage', message, { hint: 'paretune --help lists the commands.' }), json);
}
