/**
 * What every command of `paretune` works with: where output goes, which data folder is in use, and the supervised engine
 * with its progress and Ctrl-C. A command asks the engine, prints for people, and returns the object that --json prints.
 */
import type { Json } from '../contract/records.ts';
import type { RunEvent } from '../contract/run-events.ts';
import type { CommandName, PayloadOf, ResultOf } from '../engine-process/commands.ts';
import { readEnvironment } from './environment.ts';
import { followRun, progressLine, type RunView, runLine, type ShowProgress, showProgress } from './progress.ts';
import { runToRescue } from './engine-death.ts';
import { type Engine, type EngineOptions, startEngine } from './supervise.ts';

export type Session = {
  json: boolean;
  dataFolder: string;
  /** columns of standard output */
  columns: number;
  /** set when the command has an answer, but the answer is that something is wrong: exit code 1 */
  failed: boolean;
  /** human output on standard output; nothing with --json */
  print(text: string): void;
  /** a line on standard error, in any mode */
  note(text: string): void;
  /** one command of the engine, with progress on standard error; `onItem` sees the parts of a list as they come */
  engine<Name extends CommandName>(
    name: Name,
    payload: PayloadOf<Name>,
    onItem?: (item: Json) => void,
  ): Promise<ResultOf<Name>>;
  /** one more engine process, for commands that work in several at once; stopped and ended with the session's own */
  worker(): Engine;
  /** replaces the line of progress on standard error */
  line(text: string): void;
  /** leaves a clean screen for what is printed next */
  endLine(): void;
  /** ends the engines and puts the terminal in order */
  close(): Promise<void>;
};

/** `dataFolder` undefined means the environment's. The engine starts with the first command that needs it. */
export function openSession(options: { json: boolean; dataFolder?: string } & Partial<EngineOptions>): Session {
  const environment = readEnvironment();
  const dataFolder = options.dataFolder ?? environment.dataFolder;
  const progress = showProgress({
    write: (text) => process.stderr.write(text),
    isTerminal: process.stderr.isTTY === true,
    columns: () => process.stderr.columns ?? 80,
    nowMs: () => performance.now(),
  });
  let engine: Engine | undefined;
  const engines: Engine[] = [];
  const interrupt = onInterrupt(progress, engines);

  const start = () => {
    const started = startEngine({
      dataFolder,
      silenceMs: options.silenceMs ?? environment.engineSilenceMs,
      entry: options.entry,
      onSilence: (ms) =>
        progress.note(`The engine has been silent for ${Math.round(ms / 1000)} s; a long step can be.`),
    });
    engines.push(started);
    return started;
  };

  const ask = async <Name extends CommandName>(
    name: Name,
    payload: PayloadOf<Name>,
    onItem?: (item: Json) => void,
  ): Promise<ResultOf<Name>> => {
    engine ??= start();
    let view: RunView | undefined;
    try {
      const result = await engine.request(name, payload as Json, {
        onEvent(event) {
          view = followRun(view, event, performance.now());
          const note = noteOf(event);
          if (note !== undefined) progress.note(note);
          if (view) progress.line(runLine(view));
        },
        onProgress: (state) => progress.line(progressLine(state)),
        onItem,
      });
      return result as ResultOf<Name>;
    } finally {
      progress.end();
    }
  };

  /** A run whose GPU failed goes on in a new engine, as often as there is another way; not once the user asked to stop. */
  const goOn = async (name: CommandName, error: unknown): Promise<ResultOf<'resume'>> => {
    const rescued = name === 'tune' || name === 'resume' ? runToRescue(error) : null;
    if (rescued === null || interrupt.asked()) throw error;
    engine?.kill();
    engine = start();
    return ask('resume', rescued).catch((next) => goOn('resume', next));
  };

  return {
    json: options.json,
    dataFolder,
    columns: process.stdout.columns ?? 80,
    failed: false,
    print(text) {
      if (!options.json) process.stdout.write(`${text}\n`);
    },
    note: (text) => progress.note(text),
    async engine<Name extends CommandName>(
      name: Name,
      payload: PayloadOf<Name>,
      onItem?: (item: Json) => void,
    ): Promise<ResultOf<Name>> {
      try {
        return await ask(name, payload, onItem);
      } catch (error) {
        return (await goOn(name, error)) as ResultOf<Name>;
      }
    },
    worker: start,
    line: (text) => progress.line(text),
    endLine: () => progress.end(),
    async close() {
      progress.end();
      interrupt.stopListening();
      await Promise.all(engines.map((one) => one.close()));
    },
  };
}

/** Events that deserve a lasting line. */
function noteOf(event: RunEvent): string | undefined {
  if (event.kind === 'notice') return `${event.level === 'warning' ? 'warning: ' : ''}${event.message}`;
  if (event.kind === 'resumed') return `run ${event.runId} goes on from step ${event.fromStep}`;
  return undefined;
}

/** First Ctrl-C (or a polite signal): the engine finishes the step and saves. Second: it ends at once. */
function onInterrupt(progress: ShowProgress, engines: readonly Engine[]): { asked(): boolean; stopListening(): void } {
  let asked = false;
  const listener = () => {
    if (engines.length === 0) process.exit(1);
    if (asked) {
      for (const engine of engines) engine.kill();
      return;
    }
    asked = true;
    progress.note('Finishing the step and saving. Ctrl-C again stops at once.');
    for (const engine of engines) engine.stop();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, listener);
  return {
    asked: () => asked,
    stopListening() {
      for (const signal of signals) process.off(signal, listener);
    },
  };
}
