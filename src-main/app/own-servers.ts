/**
 * MCP servers of the user's own, at the window's side of the door: what the user is asked, in a dialog of the system,
 * before one is started or reached for the first time, and what the window is told of them. The window cannot get past
 * the question: a server is in the record (engine-process/mcp-record.ts) only after a yes here, or where the user added it on the command
 * line, and nothing but what is in the record is ever started. Not here: whether a tool may run (own-tools.ts).
 */
import { ParetuneError } from '../contract/errors.ts';
import { type McpServer, type McpServerRow, shownCommand } from '../contract/mcp.ts';
import type { OwnServer } from '../contract/window-api.ts';
import { appWords } from './words.ts';

/** A question in a dialog of the system; `no` is what closing it, Esc and Enter mean. */
export type Question = { title: string; message: string; detail: string; yes: string; no: string };

/** What a dialog can show whole: beyond that, its buttons may be off the screen. UTF-16 units. */
const longestShown = 1500;

/** The whole command and the variables it gets, or the address. Error `usage` for more than a dialog can show. */
export function questionOf(name: string, server: McpServer): Question {
  const w = appWords.addServer;
  const reached = shownCommand(server);
  const env = server.kind === 'stdio' ? server.env.join(', ') : '';
  if (reached.length + env.length > longestShown) {
    throw new ParetuneError(
      'usage',
      `The command has ${reached.length + env.length} characters; a dialog shows ${longestShown}.`,
      {
        hint: 'A longer one is added on the command line: paretune tools add NAME -- COMMAND ARGUMENTS',
      },
    );
  }
  const words =
    server.kind === 'stdio'
      ? { message: w.start(name), detail: w.startDetail(reached, env), yes: w.startYes }
      : { message: w.reach(name), detail: w.reachDetail(reached), yes: w.reachYes };
  return { title: w.title, no: w.no, ...words };
}

/** A server as the window is told of it. `shown` hides the home folder in texts that are for people to read. */
export function ownServerOf(
  { name, server, reached, tools }: McpServerRow,
  shown: (path: string) => string,
): OwnServer {
  return { name, kind: server.kind, reached: shown(reached), env: server.kind === 'stdio' ? server.env : [], tools };
}
