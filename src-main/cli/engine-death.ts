/** Words for the end of an engine process that did not end by itself: what happened, what is lost, how to go on. */
import { ParetuneError } from '../contract/errors.ts';
import { describeRescue, type Rescue, type RescueSettings, rescueOf } from '../contract/rescue.ts';

/** What is known of the run that a request drives. */
export type RunSoFar = {
  runId?: string;
  step?: number;
  checkpoint?: number;
  config?: RescueSettings;
};

export type Death = {
  command: string;
  run: RunSoFar;
  /** the last of its stderr */
  output: string;
  code?: number | null;
  signal?: NodeJS.Signals | null;
  /** it was ended by us after so much silence */
  hungMs?: number;
};

const nativeFaults = new Set(['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGABRT', 'SIGTRAP']);

/** The end of an engine, or of its GPU (`device`), that knows the run which it ended. */
export class EngineDeath extends ParetuneError {
  readonly run: RunSoFar;

  constructor(code: 'engine' | 'memory' | 'device', message: string, run: RunSoFar, hint: string) {
    super(code, message, { hint });
    this.run = run;
  }
}

/** What the engine is asked for instead: a run on from its checkpoint, by other settings. */
export type RescuedRun = { run: string; after: string } & Rescue;

/**
 * How a run can go on because a GPU was lost, or its driver may have hung or brought down the engine, and the user did not
 * forbid it (onProviderFailure); null for everything else.
 */
export function runToRescue(error: unknown): RescuedRun | null {
  if (!(error instanceof EngineDeath)) return null;
  const { runId, checkpoint, config } = error.run;
  if (runId === undefined || checkpoint === undefined || config === undefined) return null;
  const rescue = rescueOf(config);
  if (rescue === null) return null;
  const after = `${error.message}\nThe run goes on ${describeRescue(rescue)} from its last checkpoint.`;
  return { run: runId, ...rescue, after };
}

export function describeDeath(death: Death): EngineDeath {
  const { code, message } = cause(death);
  const where = death.run.step === undefined ? '' : ` after step ${death.run.step}`;
  const lines = [`The engine process ${message}${where} (command ${death.command}).`];
  const last = death.output.trim().split('\n').slice(-5).join('\n');
  if (last !== '') lines.push(`Its last words: ${last}`);
  return new EngineDeath(code, lines.join('\n'), death.run, hint(death.run, code));
}

function cause({ code, signal, hungMs, output }: Death): { code: 'engine' | 'memory'; message: string } {
  if (hungMs !== undefined) {
    return { code: 'engine', message: `gave no sign of life for ${duration(hungMs)} and was ended` };
  }
  if (/heap out of memory|bad_alloc|Cannot allocate memory/i.test(output)) {
    return { code: 'memory', message: 'ran out of memory' };
  }
  if (signal === 'SIGKILL') {
    return { code: 'memory', message: 'was killed from outside, as a system does that runs out of memory' };
  }
  if (signal && nativeFaults.has(signal)) return { code: 'engine', message: `ended by a native fault (${signal})` };
  if (signal) return { code: 'engine', message: `was ended by ${signal}` };
  // Windows reports a native fault as an exit code of the form 0xC0000005
  if (code && code > 0x8000_0000) {
    return { code: 'engine', message: `ended by a native fault (0x${code.toString(16).toUpperCase()})` };
  }
  return { code: 'engine', message: `ended with exit code ${code ?? 'unknown'}` };
}

function hint(run: RunSoFar, code: 'engine' | 'memory'): string {
  const smaller =
    code === 'memory' ? ' train.recompute, a smaller rolloutBatch or train.microBatchTokens needs less memory.' : '';
  if (run.runId === undefined) return `Nothing was kept of it; the command can be given again.${smaller}`;
  const from = run.checkpoint === undefined ? 'from its start' : `from step ${run.checkpoint}`;
  return `Nothing that was saved is lost. paretune resume ${run.runId} goes on ${from}.${smaller}`;
}

function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} minutes`;
}
