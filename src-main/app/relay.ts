/**
 * The one door between the window and this process: every message passes here, its sender and its payload are checked,
 * its answer or error goes back as plain data in which no path is left. Not here: what a call does (calls.ts).
 */
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { ParetuneError, toErrorRecord } from '../contract/errors.ts';
import {
  type CallName,
  type CallResult,
  type CheckedPayload,
  calls,
  type ErrorRecord,
  type Picked,
} from '../contract/window-api.ts';
import type { Handles } from './handles.ts';
import { isTrusted } from './security.ts';

/** Names of the messages; preload.ts uses the same. */
export const channels = { call: 'paretune:call', dropped: 'paretune:dropped', feed: 'paretune:feed' } as const;

/** What is used of Electron's ipcMain. Nothing else in the app may touch it. */
export type Ipc = {
  handle(
    channel: string,
    listener: (event: { senderFrame: { url: string; parent: unknown } | null }, ...args: unknown[]) => unknown,
  ): void;
};

export type Answer = { ok: true; value: unknown } | { ok: false; error: ErrorRecord };

/** One function for every call of the contract. */
export type CallHandlers = { [N in CallName]: (payload: CheckedPayload<N>) => Promise<CallResult<N>> };

/** Registers the door. `drop` makes a handle of the path of a dropped file; `handles` closes all that goes out. */
export function openDoor(ipc: Ipc, handlers: CallHandlers, drop: (path: string) => Picked, handles: Handles): void {
  register(channels.call, (name, payload) => {
    if (typeof name !== 'string' || !Object.hasOwn(calls, name)) {
      throw new ParetuneError('usage', `There is no call ${JSON.stringify(name)}.`);
    }
    return dispatch(handlers, name as CallName, payload);
  });
  register(channels.dropped, (path) => {
    if (typeof path === 'string' && isAbsolute(path)) return drop(path);
    throw new ParetuneError('usage', 'What was dropped is not a file or folder of this machine.');
  });

  function register(channel: string, body: (...args: unknown[]) => unknown): void {
    ipc.handle(channel, async (event, ...args): Promise<Answer> => {
      try {
        if (!isTrusted(event.senderFrame)) throw new ParetuneError('usage', 'This page may not ask.');
        return { ok: true, value: handles.closed(await body(...args)) };
      } catch (thrown) {
        return { ok: false, error: handles.closed(asRecord(thrown)) };
      }
    });
  }
}

async function dispatch<N extends CallName>(handlers: CallHandlers, name: N, payload: unknown): Promise<unknown> {
  const { success, data, error } = calls[name].safeParse(payload);
  if (success) return handlers[name](data as CheckedPayload<N>);
  throw new ParetuneError('usage', `The arguments of ${name} do not fit: ${z.prettifyError(error)}`);
}

/** Errors of the engine arrive as records already. Of a fault of ours the first line is told, its stack goes to the log. */
function asRecord(thrown: unknown): ErrorRecord {
  const { code, message, hint } = recordOf(thrown);
  if (code !== 'internal' || !message.includes('\n')) return { code, message, hint };
  console.error(message);
  return { code, message: message.slice(0, message.indexOf('\n')), hint };
}

function recordOf(thrown: unknown): ErrorRecord {
  if (thrown instanceof Error || typeof thrown !== 'object' || thrown === null) return toErrorRecord(thrown);
  const { code, message, hint } = thrown as Partial<ErrorRecord>;
  if (code === undefined || typeof message !== 'string') return toErrorRecord(thrown);
  return { code, message, hint: hint ?? '' };
}
