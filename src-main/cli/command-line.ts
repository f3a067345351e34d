/**
 * What all commands of `paretune` share: how one is declared with commander, how its result and its errors are printed,
 * and its exit code. Exit codes: 0 done, 1 failed, 2 wrong usage.
 */
import type { Command } from 'commander';
import { type ErrorRecord, ParetuneError, toErrorRecord } from '../contract/errors.ts';
import { openSession, type Session } from './session.ts';
import { EngineFault } from './supervise.ts';

/** Options that every command has. */
type GlobalOptions = { json?: boolean; data?: string };

/**
 * What a command does: prints for people and returns the object that --json prints (undefined: it has printed its own).
 * `options` are the command's own, as commander parsed them.
 */
export type Action<Options> = (session: Session, options: Options, ...args: string[]) => Promise<unknown>;

/** The commander action that runs ours in a session and reports how it went. */
export function act<Options>(action: Action<Options>): (...args: unknown[]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command;
    const { json = false, data } = command.optsWithGlobals<GlobalOptions>();
    const session = openSession({ json, dataFolder: data });
    try {
      const result = await action(session, command.opts() as Options, ...(all.slice(0, -2) as string[]));
      if (json && result !== undefined) process.stdout.write(`${JSON.stringify(result)}\n`);
      process.exitCode = session.failed ? 1 : 0;
    } catch (error) {
      process.exitCode = report(error, json);
    } finally {
      await session.close();
    }
  };
}

/** Prints an error where it belongs and gives the exit code. */
export function report(error: unknown, json: boolean): number {
  const record = recordOf(error);
  if (json) process.stdout.write(`${JSON.stringify({ error: record })}\n`);
  else process.stderr.write(`paretune: ${record.message}\n${record.hint ? `${record.hint}\n` : ''}`);
  return record.code === 'usage' ? 2 : 1;
}

function recordOf(error: unknown): ErrorRecord {
  const record = toErrorRecord(error);
  // a fault on this side: the stack is what a report needs
  if (record.code === 'internal' && error instanceof Error && !(error instanceof EngineFault)) {
    record.message = error.stack ?? record.message;
  }
  return record;
}

/** The examples below a command's help. */
export function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ paretune ${line}`).join('\n')}`;
}

/** A whole number of an option's text. */
export function wholeNumber(name: string, text: string, low = 0): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= low && text.trim() !== '') return value;
  throw new ParetuneError('usage', `${name} is ${JSON.stringify(text)}; it must be a whole number of at least ${low}.`);
}
