/**
 * The engine's side of the protocol: takes requests from a connection, runs them from a table of commands, sends events,
 * progress and answers back. Knows neither a command nor a process: main.ts brings both, tests bring their own table.
 */
import { z } from 'zod';
import { ParetuneError, toErrorRecord } from '../contract/errors.ts';
import type { Json } from '../contract/records.ts';
import type { RunEvent } from '../contract/run-events.ts';
import type { Command } from './command.ts';
import { heartbeatMs, type Progress, type Reply, requestSchema } from './protocol.ts';

/** A message channel: process messages of a forked child, or a utility process's parent port. */
export type Connection = {
  send(reply: Reply): void;
  onMessage(listener: (message: unknown) => void): void;
};

/** Commands are loaded when they are first asked for: listing runs must not load the model runtime. */
export type CommandTable = Record<string, () => Promise<{ command: Command<unknown, unknown> }>>;

const progressMs = 80;

/** Serves until the process ends. */
export function serve(table: CommandTable, connection: Connection, dataFolder: string): void {
  const running = new Map<number, AbortController>();
  connection.send({ kind: 'heartbeat' });
  setInterval(() => connection.send({ kind: 'heartbeat' }), heartbeatMs);

  connection.onMessage((message) => {
    const request = requestSchema.parse(message);
    if (request.kind === 'stop') running.get(request.id)?.abort();
    else void answer(request.id, request.command, request.payload);
  });

  async function answer(id: number, name: string, payload: Json): Promise<void> {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      const load = Object.hasOwn(table, name) ? table[name] : undefined;
      if (load === undefined) throw new ParetuneError('usage', `The engine has no command ${name}.`);
      const { command } = await load();
      const result = await command.run(checkedPayload(command, name, payload), {
        dataFolder,
        emit: (event) => connection.send({ kind: 'event', id, event: withoutGroups(event) }),
        progress: throttled((progress) => connection.send({ kind: 'progress', id, progress })),
        item: (item) => connection.send({ kind: 'item', id, item }),
        signal: controller.signal,
      });
      // results are records of ours; undefined fields do not survive JSON and must not reach the other end's check
      connection.send({ kind: 'result', id, result: JSON.parse(JSON.stringify(result ?? null)) as Json });
    } catch (error) {
      const record = toErrorRecord(controller.signal.aborted ? interrupted(error) : error);
      if (record.code === 'internal' && error instanceof Error) record.message = error.stack ?? record.message;
      connection.send({ kind: 'error', id, error: record });
    } finally {
      running.delete(id);
    }
  }

  // a fault outside any command: whoever waits is told before the process ends
  const fatal = (error: unknown) => {
    const record = toErrorRecord(error);
    if (error instanceof Error) record.message = error.stack ?? record.message;
    process.stderr.write(`${record.message}\n`);
    for (const id of running.keys()) connection.send({ kind: 'error', id, error: record });
    setTimeout(() => process.exit(70), 200);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
}

/** What a stage throws that saw the stop signal, in the user's words. */
function interrupted(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'AbortError') return error;
  return new ParetuneError('interrupted', 'Stopped before it was done.', { cause: error });
}

function checkedPayload(command: Command<unknown, unknown>, name: string, payload: Json): unknown {
  const { success, data, error } = command.payload.safeParse(payload);
  if (success) return data;
  throw new ParetuneError('usage', `The arguments of ${name} do not fit: ${z.prettifyError(error)}`);
}

/** The trajectories of a step are in the store; a supervisor shows means, and asks the store for more. */
function withoutGroups(event: RunEvent): RunEvent {
  return event.kind === 'step' ? { ...event, groups: [] } : event;
}

/** At most one message in progressMs, but always the last of a label. */
function throttled(send: (progress: Progress) => void): (progress: Progress) => void {
  let last = Number.NEGATIVE_INFINITY;
  let label = '';
  return (progress) => {
    const now = performance.now();
    if (now - last < progressMs && progress.label === label && progress.done !== progress.total) return;
    last = now;
    label = progress.label;
    send(progress);
  };
}
