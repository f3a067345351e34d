/** `paretune tools list | check | try`, and those of MCP servers: `add | look | approve | revoke | remove`. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { ParetuneError } from '../../contract/errors.ts';
import type { Json, ToolResult } from '../../contract/records.ts';
import { act, examples } from '../command-line.ts';
import { table } from '../table.ts';
import { printServers, serverCommands } from './servers.ts';

export function toolsCommand(program: Command): void {
  const tools = program
    .command('tools')
    .description('list, check and try the tools that an agent may call; add tools of MCP servers')
    .addHelpText(
      'after',
      examples(
        'tools list',
        'tools check python',
        "tools try calculator '12*7'",
        'tools try python --input calls.json --json',
        'tools add files -- npx -y @modelcontextprotocol/server-filesystem ./notes',
        'tools approve mcp:files/read_file',
      ),
    );

  tools
    .command('list')
    .description('the tools there are, and those of MCP servers as they were last seen (nothing is started)')
    .addHelpText('after', examples('tools list', 'tools list --json'))
    .action(
      act(async (session) => {
        const result = await session.engine('tools-list', {});
        const rows = result.tools.map(({ name, primaryArgument, description }) => [name, primaryArgument, description]);
        session.print(table([{ title: 'tool' }, { title: 'argument' }, { title: 'what it does' }], rows));
        printServers(session, result.servers);
        return result;
      }),
    );

  tools
    .command('check [names...]')
    .description('asks each tool something with a known answer')
    .option('--corpus <file>', 'the corpus that search looks through')
    .addHelpText('after', examples('tools check', 'tools check search --corpus corpus.jsonl'))
    .action(
      act<{ corpus?: string }>(async (session, { corpus }, ...args) => {
        const names = args.flat();
        const result = await session.engine('tools-check', { names, corpus });
        const rows = result.tools.map(({ name, ok, milliseconds, message }) => [
          name,
          ok ? 'ok' : 'BROKEN',
          milliseconds.toFixed(0),
          ok ? '' : message,
        ]);
        session.print(
          table([{ title: 'tool' }, { title: 'health' }, { title: 'ms', align: 'right' }, { title: '' }], rows),
        );
        session.failed = result.tools.some(({ ok }) => !ok);
        return result;
      }),
    );

  tools
    .command('try <name> [text]')
    .description('calls a tool by hand')
    .option('--input <file>', "JSON file with the tool's arguments; an array is run in order (- reads standard input)")
    .option('--corpus <file>', 'the corpus that search looks through')
    .addHelpText(
      'after',
      examples(
        "tools try calculator '12*7'",
        "tools try python 'print(sum(range(10)))'",
        'tools try python --input calls.json --json',
        "tools try search --corpus corpus.jsonl 'capital of France'",
      ),
    )
    .action(
      act<{ input?: string; corpus?: string }>(async (session, { input, corpus }, name, text) => {
        if ((text === undefined) === (input === undefined)) {
          throw new ParetuneError('usage', 'Give the call either as text or as a file.', {
            hint: `paretune tools try ${name} 'TEXT', or paretune tools try ${name} --input FILE.json`,
          });
        }
        const inputs = input === undefined ? [text as Json] : readInputs(input);
        await session.engine('tools-try', { name, inputs, corpus }, (item) => {
          const result = item as ToolResult;
          if (session.json) process.stdout.write(`${JSON.stringify(result)}\n`);
          else session.print(`${result.output}\n[${result.status}, ${result.milliseconds.toFixed(0)} ms]`);
        });
        return undefined;
      }),
    );

  serverCommands(tools);
}

/** One call, or a list of them. */
function readInputs(file: string): Json[] {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new ParetuneError('not-found', `The input ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (cause) {
    throw new ParetuneError('bad-file', `The input ${file} is not JSON: ${(cause as Error).message}`, { cause });
  }
  const inputs = Array.isArray(value) ? value : [value];
  if (inputs.length > 0) return inputs;
  throw new ParetuneError('bad-data', `The input ${file} holds no call.`);
}
