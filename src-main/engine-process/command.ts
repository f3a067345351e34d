/**
 * What a command of the engine is: a schema for its payload and a function. Each lives in a file of its own in commands/;
 * commands.ts is the table of all.
 */
import type { z } from 'zod';
import type { RunEvent } from '../contract/run-events.ts';
import type { Json } from '../contract/records.ts';
import type { Progress } from './protocol.ts';

/** What a command works with besides its payload. */
export type CommandContext = {
  /** absolute; everything a command keeps lies below it */
  dataFolder: string;
  emit(event: RunEvent): void;
  progress(progress: Progress): void;
  /** hands out one part of a list before the whole is done (`tools try`) */
  item(item: Json): void;
  /** aborted when the user asks to stop: finish the step, save, return */
  signal: AbortSignal;
};

export type Command<Payload, Result> = {
  payload: z.ZodType<Payload>;
  /** The result must be JSON-able. Throws ParetuneError for what a user can cause. */
  run(payload: Payload, context: CommandContext): Promise<Result>;
};

/** Only gives the literal its type. */
export function defineCommand<Payload, Result>(command: Command<Payload, Result>): Command<Payload, Result> {
  return command;
}
