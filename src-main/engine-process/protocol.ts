/**
 * The messages between the engine process and whoever supervises it (the command line, the window's main process). Both
 * ends check what they receive. Not here: what a command's payload or result looks like, which each file in commands/ says
 * for itself.
 *
 * A request is answered by any number of `event` and `progress` messages and then by exactly one `result` or `error`.
 * `stop` asks a request to finish what it is doing (a run: the step) and save; it still ends in a result or an error.
 * `heartbeat` comes every heartbeatMs while the engine's thread is free; a computing session blocks it.
 */
import { z } from 'zod';
import type { ErrorRecord } from '../contract/errors.ts';
import type { Json } from '../contract/records.ts';
import type { RunEvent } from '../contract/run-events.ts';

/** Milliseconds from one sign of life to the next. */
export const heartbeatMs = 1000;

/** How far a command has come. `total` 0 means that the end is not known. */
export type Progress = { label: string; done: number; total: number; note?: string; secondsLeft?: number };

const id = z.int().min(0);
const json: z.ZodType<Json> = z.json();

/** What the engine understands. */
export const requestSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('command'), id, command: z.string().max(64), payload: json }),
  z.strictObject({ kind: z.literal('stop'), id }),
]);
export type Request = z.output<typeof requestSchema>;

const eventKinds = ['started', 'resumed', 'step', 'evaluated', 'checkpoint', 'notice', 'prices', 'ended'] as const;

/** Events are our own records, made and typed in the engine: only their envelope is checked again. */
const runEvent = z.custom<RunEvent>(
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    'kind' in value &&
    (eventKinds as readonly unknown[]).includes(value.kind),
  { message: 'not a run event' },
);

/** An answer is a record of ours, made and typed in the engine: thousands of rows are not checked again number by number. */
const ownRecord = z.custom<Json>((value) => value !== undefined, { message: 'no result' });

const errorRecord: z.ZodType<ErrorRecord> = z.strictObject({
  code: z.custom<ErrorRecord['code']>((value) => typeof value === 'string'),
  message: z.string(),
  hint: z.string(),
});

/** What the engine says. */
export const replySchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('heartbeat') }),
  z.strictObject({ kind: z.literal('event'), id, event: runEvent }),
  z.strictObject({
    kind: z.literal('progress'),
    id,
    progress: z.strictObject({
      label: z.string(),
      done: z.number(),
      total: z.number(),
      note: z.string().optional(),
      secondsLeft: z.number().optional(),
    }),
  }),
  /** one part of an answer that is a list, as soon as it is known */
  z.strictObject({ kind: z.literal('item'), id, item: json }),
  z.strictObject({ kind: z.literal('result'), id, result: ownRecord }),
  z.strictObject({ kind: z.literal('error'), id, error: errorRecord }),
]);
export type Reply = z.output<typeof replySchema>;
