/**
 * What a tool is to the engine. Every call is a pure function of its arguments: a tool keeps no state from one call to
 * the next, so identical calls may be memoised and the order of answers cannot change a trajectory.
 */
import type { Json, ToolResult, ToolSpec } from '../../contract/records.ts';

export type ToolHealth = { ok: boolean; message: string; milliseconds: number };

export type Tool = {
  spec: ToolSpec;
  /** the parameter that compact tool-call syntax passes, e.g. `code` for python */
  primaryArgument: string;
  /** Never rejects for what the model wrote: a bad call is a result with status `error`. Rejects only when the tool itself is broken. */
  call(args: Record<string, Json>): Promise<ToolResult>;
  /** a canary call with a known answer */
  check(): Promise<ToolHealth>;
  close(): Promise<void>;
};
