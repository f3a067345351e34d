/**
 * What may lie in the JSON columns, checked when it is read: a row that was damaged or written by something else is one
 * clear error, never a wrong number. The types are the contract's; a field that is added there must be added here.
 */
import { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import type { Json, PolicyPoint, Problem, Split, StepMetrics, StopReason, ToolStatus } from '../contract/records.ts';
import { runConfigSchema } from '../contract/run-config.ts';
import type { RunEvent, RunFacts, RunStatus } from '../contract/run-events.ts';

/** JSON has no NaN, it is stored as null: a number that must exist and is null was NaN. */
const number = z.union([z.number(), z.literal(Infinity), z.literal(-Infinity), z.null().transform(() => Number.NaN)]);
const numberOrNull = z.union([z.number(), z.literal(Infinity), z.literal(-Infinity), z.null()]);
const text = z.string();
const step = z.int().min(0);

export const splitSchema = z.enum(['train', 'selection', 'report']) satisfies z.ZodType<Split>;
export const statusSchema = z.enum(['running', 'finished', 'stopped', 'failed']) satisfies z.ZodType<RunStatus>;
export const stopReasonSchema = z.enum([
  'answer',
  'call-limit',
  'turn-limit',
  'token-limit',
  'time-limit',
  'malformed-call',
  'tool-broken',
]) satisfies z.ZodType<StopReason>;
export const toolStatusSchema = z.enum([
  'ok',
  'error',
  'timeout',
  'memory',
  'output',
  'unknown-tool',
  'bad-arguments',
  'limit',
]) satisfies z.ZodType<ToolStatus>;
export const samplingSchema = z.enum(['sampled', 'greedy']) satisfies z.ZodType<PolicyPoint['sampling']>;

export const configSchema = runConfigSchema;

export const factsSchema = z.object({
  engineVersion: text,
  runtimeVersion: text,
  provider: text,
  threads: number,
  cpu: text,
  modelHash: text,
  parameters: number,
  referencePrice: number,
  referenceLength: number,
  costLimit: number,
}) satisfies z.ZodType<RunFacts>;

export const metricsSchema = z.object({
  loss: number,
  gradNorm: number,
  learningRate: number,
  entropy: number,
  samplerGap: number,
  kl: numberOrNull,
  clipFraction: number,
  success: number,
  cost: number,
  calls: number,
  sampledTokens: number,
  responseLength: number,
  groupsMixed: number,
  groupsAllRight: number,
  groupsAllWrong: number,
  groupsWithoutSpread: number,
  ungraded: number,
  toolFailureShare: number,
  method: z.record(z.string(), number),
  rolloutMs: number,
  toolMs: number,
  gradeMs: number,
  trainMs: number,
  logMs: number,
  stepMs: number,
}) satisfies z.ZodType<StepMetrics>;

/** The arguments of a tool call: whatever JSON object the model wrote. */
export const argumentsSchema = z.custom<Record<string, Json>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'not an object',
);

const toolCall = z.object({ name: text, arguments: argumentsSchema });
const message = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: text,
  toolCalls: z.array(toolCall).optional(),
  name: text.optional(),
});

export const problemSchema = z.object({
  id: text,
  task: text,
  split: splitSchema,
  messages: z.array(message),
  tools: z.array(text),
  answers: z.array(text),
  grader: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('exact') }),
    z.object({ kind: z.literal('math') }),
    z.object({ kind: z.literal('regex'), pattern: text, flags: text.optional() }),
    z.object({ kind: z.literal('json'), fields: z.array(text) }),
    z.object({ kind: z.literal('python'), code: text }),
  ]),
  tags: z.array(text),
  unseen: z.boolean(),
}) satisfies z.ZodType<Problem>;

export const breakdownSchema = z.record(
  z.string(),
  z.object({ n: number, success: number, cost: number, calls: z.record(z.string(), number).optional() }),
) satisfies z.ZodType<PolicyPoint['breakdown']>;

type Payload<K extends RunEvent['kind'], Field extends keyof Extract<RunEvent, { kind: K }>> = z.ZodType<
  Pick<Extract<RunEvent, { kind: K }>, Field>
>;
export const noticeSchema = z.object({
  level: z.enum(['info', 'warning']),
  code: text,
  message: text,
}) satisfies Payload<'notice', 'level' | 'code' | 'message'>;
export const pricesSchema = z.object({ prices: z.record(z.string(), number) }) satisfies Payload<'prices', 'prices'>;
export const endedSchema = z.object({ status: statusSchema, reason: text }) satisfies Payload<
  'ended',
  'status' | 'reason'
>;
export const droppedSchema = z.object({ dropped: z.array(step) }) satisfies Payload<'checkpoint', 'dropped'>;
/** A stored JSON text as a checked record. Error: `store`, naming the place, where it is anything else. */
export function readJson<T>(schema: z.ZodType<T>, stored: string, place: string): T {
  return checked(place, () => schema.parse(JSON.parse(stored)));
}

/** A stored value as a checked one. Error: `store`, naming the place. */
export function readValue<T>(schema: z.ZodType<T>, stored: unknown, place: string): T {
  return checked(place, () => schema.parse(stored));
}

/** Runs a decoder; what it throws is damage of the database at `place`. */
export function checked<T>(place: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    const detail =
      cause instanceof z.ZodError ? z.prettifyError(cause).replaceAll('\n', ' ') : (cause as Error).message;
    throw new ParetuneError('store', `A row of the database is damaged: ${place}: ${detail}.`, {
      cause,
      hint: 'The rest of the database can still be read; to go on, put a backup in its place or start a new run.',
    });
  }
}
