/** Tools of MCP servers: `paretune tools add | look | approve | revoke | remove`. */
import type { Command } from 'commander';
import { ParetuneError } from '../../contract/errors.ts';
import type { McpServerInput, McpServerRow, McpToolRow } from '../../contract/mcp.ts';
import { act, examples } from '../command-line.ts';
import type { Session } from '../session.ts';
import { table } from '../table.ts';

export function serverCommands(tools: Command): void {
  tools
    .command('add <name> [command...]')
    .description(
      'adds an MCP server: a program with its arguments after --, or an address; none of its tools may run yet',
    )
    .option('--url <address>', 'the server is reached there (https, or http on this machine)')
    .option('--env <names...>', 'environment variables that the program gets besides the harmless ones')
    .addHelpText(
      'after',
      examples(
        'tools add files -- npx -y @modelcontextprotocol/server-filesystem ./notes',
        'tools add units --env UNITS_KEY -- python3 units_server.py',
        'tools add lab --url http://127.0.0.1:8000/mcp',
      ),
    )
    .action(
      act<{ url?: string; env?: string[] }>(async (session, { url, env }, name, ...rest) => {
        const [command, ...args] = rest.flat();
        if ((url === undefined) === (command === undefined) || (url !== undefined && env !== undefined)) {
          throw new ParetuneError('usage', 'Give either a program after --, or an address with --url.', {
            hint: `paretune tools add ${name} -- PROGRAM ARGUMENTS, or paretune tools add ${name} --url ADDRESS`,
          });
        }
        const server: McpServerInput =
          url === undefined ? { kind: 'stdio', command, args, env } : { kind: 'http', url };
        const row = await session.engine('tools-add', { name, server: server as McpServerRow['server'] });
        printServers(session, [row]);
        const [first] = row.tools;
        if (first) session.print(`\nNone may run yet. Read one and decide: paretune tools approve ${first.name}`);
        return row;
      }),
    );

  tools
    .command('look <name>')
    .description('asks an MCP server again what it offers')
    .addHelpText('after', examples('tools look files'))
    .action(
      act(async (session, _, name) => {
        const row = await session.engine('tools-look', { name });
        printServers(session, [row]);
        return row;
      }),
    );

  tools
    .command('approve <tool>')
    .description('shows the definition of a tool as it is now; with its hash, allows this very definition to run')
    .option('--hash <sha256>', 'the hash that was shown, or its first 12 characters or more')
    .option('--unattended', 'it may run in training too, where nobody looks on')
    .option('--price <number>', 'the price of one call, in your own unit (default: as approved before, else 1)')
    .addHelpText(
      'after',
      examples(
        'tools approve mcp:files/read_file',
        'tools approve mcp:files/read_file --hash 0123456789ab --unattended --price 0.2',
      ),
    )
    .action(
      act<{ hash?: string; unattended?: boolean; price?: string }>(async (session, options, tool) => {
        const server = /^mcp:([^/]+)\//.exec(tool)?.[1] ?? tool;
        const seen = await session.engine('tools-look', { name: server });
        const row = seen.tools.find(({ name }) => name === tool);
        if (row === undefined || row.state === 'gone') {
          throw new ParetuneError('not-found', `The MCP server ${server} offers no tool ${tool}.`, {
            hint: `It offers ${seen.tools.map(({ name }) => name).join(', ') || 'none'}.`,
          });
        }
        const price = options.price === undefined ? row.price : Number(options.price);
        if (!Number.isFinite(price) || price < 0 || options.price?.trim() === '') {
          throw new ParetuneError(
            'usage',
            `--price is ${JSON.stringify(options.price)}; it must be a number of at least 0.`,
          );
        }
        if (options.hash === undefined) {
          printDefinition(session, seen, row);
          const flags = `${options.unattended ? ' --unattended' : ''}${options.price === undefined ? '' : ` --price ${options.price}`}`;
          session.print(`\nTo allow it: paretune tools approve ${tool} --hash ${row.hash.slice(0, 12)}${flags}`);
          return { ...row, reached: seen.reached };
        }
        if (options.hash.length < 12 || !row.hash.startsWith(options.hash)) {
          throw new ParetuneError('tool', `The hash of ${tool} is ${row.hash.slice(0, 12)} now, not ${options.hash}.`, {
            hint: `Read the definition again: paretune tools approve ${tool}`,
          });
        }
        const unattended = options.unattended ?? false;
        const approved = await session.engine('tools-approve', { tool, hash: row.hash, unattended, price });
        session.print(
          `${tool} may run${unattended ? ', in training too' : ' in chat and by hand; not in training (--unattended)'}. Price ${price}.`,
        );
        return approved;
      }),
    );

  tools
    .command('revoke <tool>')
    .description('a tool may not run any more (a run under way keeps it until it ends)')
    .addHelpText('after', examples('tools revoke mcp:files/read_file'))
    .action(
      act(async (session, _, tool) => {
        const result = await session.engine('tools-revoke', { tool });
        session.print(`${tool} may not run any more.`);
        return result;
      }),
    );

  tools
    .command('remove <name>')
    .description('forgets an MCP server with all its approvals')
    .addHelpText('after', examples('tools remove files'))
    .action(
      act(async (session, _, name) => {
        const result = await session.engine('tools-remove', { name });
        session.print(`The MCP server ${name} is forgotten.`);
        return result;
      }),
    );
}

/** Each server with how it is reached, and its tools. */
export function printServers(session: Session, servers: readonly McpServerRow[]): void {
  for (const { name, reached, tools } of servers) {
    session.print(`\nMCP server ${name}: ${reached}`);
    if (tools.length === 0) session.print('  offers no tools');
    const rows = tools.map((tool) => [
      tool.name,
      tool.state,
      tool.unattended ? 'yes' : 'no',
      String(tool.price),
      tool.description.split('\n')[0].slice(0, 80),
    ]);
    const columns = [
      { title: 'tool' },
      { title: 'state' },
      { title: 'unattended' },
      { title: 'price', align: 'right' as const },
      { title: 'what it says of itself' },
    ];
    if (rows.length > 0) session.print(table(columns, rows));
  }
}

function printDefinition(session: Session, { reached }: McpServerRow, row: McpToolRow): void {
  session.print(`${row.name} (${row.state})`);
  session.print(`runs: ${reached}`);
  session.print(`what it says of itself: ${row.description || 'nothing'}`);
  session.print(`parameters: ${JSON.stringify(row.parameters, null, 2)}`);
  session.print(`hash: ${row.hash}`);
  if (row.before === null) return;
  session.print(`\nwhen it was approved it said: ${row.before.description || 'nothing'}`);
  session.print(`and took: ${JSON.stringify(row.before.parameters, null, 2)}`);
}
