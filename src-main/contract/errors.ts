/**
 * The one error type that users see. A broken invariant of ours is an `assert` (base/assert.ts) instead; a failed tool
 * call is text that the model reads, and a rollout that ends early has a stopReason: data, not exceptions.
 */

/** Kinds of failure a caller may want to tell apart. The message carries the rest. */
export type ErrorCode =
  | 'usage' // wrong command line
  | 'config' // a run setting is unknown, of the wrong type or out of range
  | 'not-found' // a file, folder, run, checkpoint or tool that was named does not exist
  | 'bad-file' // a file is truncated, malformed or hostile
  | 'unsupported' // well-formed, but not something this version can do
  | 'bad-data' // a dataset row cannot be used
  | 'tool' // a tool cannot be started or does not pass its health check
  | 'store' // the database is locked, too old, too new or corrupt
  | 'disk' // no space, no permission
  | 'network' // a host that the user named does not answer, refuses or breaks off
  | 'memory' // an estimate or an allocation exceeds what there is
  | 'device' // a GPU was lost, or its driver failed, in the middle of its work
  | 'diverged' // the run was stopped to protect the model: non-finite loss, entropy collapse
  | 'engine' // the engine process died or hangs
  | 'interrupted'; // the user asked to stop

/** What happened, the value seen, the values allowed (message) and what to do next (hint). */
export class ParetuneError extends Error {
  override readonly name = 'ParetuneError';
  readonly code: ErrorCode;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? '';
  }
}

/** The plain form in which an error crosses a process or is printed with --json. */
export type ErrorRecord = { code: ErrorCode | 'internal'; message: string; hint: string };

/** Any thrown value as a record; what is not a ParetuneError is our own bug and says so. */
export function toErrorRecord(error: unknown): ErrorRecord {
  if (error instanceof ParetuneError) return { code: error.code, message: error.message, hint: error.hint };
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: 'internal',
    message,
    hint: 'This is a fault of Paretune itself. Please report it with the command you ran.',
  };
}
