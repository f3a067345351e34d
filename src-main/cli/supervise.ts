/**
 * Runs the engine as a child process and watches over it: a native fault, a hang or a fault of our own becomes one clear
 * error that says how to go on, and the engine never outlives the command line. Not here: Ctrl-C (interrupt.ts) and what
 * is shown of it all.
 */
import { fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { ParetuneError } from '../contract/errors.ts';
import type { Json } from '../contract/records.ts';
import type { RunEvent } from '../contract/run-events.ts';
import { type Progress, type Reply, replySchema, type Request } from '../engine-process/protocol.ts';
import { describeDeath, EngineDeath, type RunSoFar } from './engine-death.ts';
import { makeWatchdog } from './watchdog.ts';

export type EngineOptions = {
  dataFolder: string;
  /** milliseconds without a sign of life after which the engine is ended */
  silenceMs: number;
  /** called once when half of silenceMs has passed */
  onSilence?: (milliseconds: number) => void;
  /** another entry file, for tests */
  entry?: URL;
};

export type Listeners = {
  onEvent?: (event: RunEvent) => void;
  onProgress?: (progress: Progress) => void;
  onItem?: (item: Json) => void;
};

export type Engine = {
  /** One answer, or a ParetuneError with the engine's own code and hint. Several may run at once. */
  request(command: string, payload: Json, listeners?: Listeners): Promise<Json>;
  /** asks everything that runs to finish its step and save */
  stop(): void;
  /** ends the process at once: what waits is rejected as `interrupted` */
  kill(): void;
  /** lets the process end by itself, and ends it when it does not within five seconds */
  close(): Promise<void>;
};

const tailBytes = 4000;
const closeMs = 5000;
const drainMs = 1000;

type Waiting = {
  command: string;
  listeners: Listeners;
  run: RunSoFar;
  resolve(result: Json): void;
  reject(error: unknown): void;
};

/** Starts the engine process. It keeps this process alive until close() or kill(). */
export function startEngine(options: EngineOptions): Engine {
  const entry = options.entry ?? new URL('../engine-process/main.ts', import.meta.url);
  const child = fork(entry, [options.dataFolder], {
    serialization: 'advanced',
    // the engine has nothing to say on stdout, which belongs to the command's result; stderr is kept for the worst case
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const waiting = new Map<number, Waiting>();
  let nextId = 0;
  let tail = '';
  let ending: ParetuneError | undefined;
  const channelClosed = new Promise((done) => child.once('disconnect', done));
  const outputEnded = new Promise((done) => child.stderr?.once('close', done));

  const bury = (code: number | null, signal: NodeJS.Signals | null) => {
    clearInterval(watchdog);
    for (const entry of waiting.values()) {
      entry.reject(ending ?? describeDeath({ code, signal, command: entry.command, run: entry.run, output: tail }));
    }
    waiting.clear();
  };
  const exited = new Promise<void>((done) => {
    child.on('exit', async (code, signal) => {
      // what the engine said last may still be on its way; a process of its own that it left behind must not delay us
      await Promise.race([Promise.all([channelClosed, outputEnded]), sleep(drainMs, undefined, { ref: false })]);
      bury(code, signal);
      done();
    });
  });
  child.on('error', (cause) => {
    ending = new ParetuneError('engine', `The engine process cannot be started: ${cause.message}`, { cause });
    child.kill('SIGKILL');
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-tailBytes);
  });

  const tickMs = Math.max(20, Math.min(1000, options.silenceMs / 10));
  const silence = makeWatchdog(options.silenceMs, tickMs);
  const watchdog = setInterval(() => {
    const state = silence.tick(waiting.size > 0);
    if (state === 'quiet') options.onSilence?.(silence.silentMs());
    if (state !== 'lost' || ending) return;
    const [first] = waiting.values();
    ending = describeDeath({ hungMs: silence.silentMs(), command: first.command, run: first.run, output: tail });
    child.kill('SIGKILL');
  }, tickMs);

  child.on('message', (message) => {
    silence.alive();
    const reply: Reply = replySchema.parse(message);
    if (reply.kind === 'heartbeat') return;
    const entry = waiting.get(reply.id);
    if (entry === undefined) return;
    if (reply.kind === 'event') {
      follow(entry.run, reply.event);
      entry.listeners.onEvent?.(reply.event);
    } else if (reply.kind === 'progress') entry.listeners.onProgress?.(reply.progress);
    else if (reply.kind === 'item') entry.listeners.onItem?.(reply.item);
    else {
      waiting.delete(reply.id);
      if (reply.kind === 'result') entry.resolve(reply.result);
      else entry.reject(toError(reply.error, entry.run));
    }
  });

  const send = (request: Request) => {
    if (child.connected) child.send(request, () => {});
  };

  return {
    request(command, payload, listeners = {}) {
      return new Promise((resolve, reject) => {
        if (!child.connected) return reject(ending ?? new ParetuneError('engine', 'The engine process has ended.'));
        const id = nextId++;
        waiting.set(id, { command, listeners, run: {}, resolve, reject });
        // a field that is undefined is absent, as in JSON
        send({ kind: 'command', id, command, payload: JSON.parse(JSON.stringify(payload)) as Json });
      });
    },
    stop() {
      for (const id of waiting.keys()) send({ kind: 'stop', id });
    },
    kill() {
      ending ??= new ParetuneError('interrupted', 'Stopped at once.', { hint: resumeHint(waiting) });
      child.kill('SIGKILL');
    },
    async close() {
      if (child.connected) child.disconnect();
      const timer = setTimeout(() => child.kill('SIGKILL'), closeMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

function resumeHint(waiting: Map<number, Waiting>): string {
  const run = [...waiting.values()].map((entry) => entry.run).find(({ runId }) => runId !== undefined);
  if (run?.runId === undefined) return '';
  return `At most the running step is lost: paretune resume ${run.runId}`;
}

/** Remembers what an obituary needs. */
function follow(run: RunSoFar, event: RunEvent): void {
  if (event.kind === 'started' || event.kind === 'resumed') run.runId = event.runId;
  if (event.kind === 'started') run.config = event.config;
  if (event.kind === 'step') run.step = event.step;
  if (event.kind === 'checkpoint') run.checkpoint = event.checkpoint.step;
  if (event.kind === 'resumed') run.checkpoint = event.fromStep;
}

/** An error that crossed the process, as it was thrown there; our own faults keep the code `internal`. */
export class EngineFault extends Error {
  override readonly name = 'EngineFault';
}

function toError(error: Extract<Reply, { kind: 'error' }>['error'], run: RunSoFar): Error {
  if (error.code === 'internal') return new EngineFault(error.message);
  if (error.code === 'device') return new EngineDeath('device', error.message, run, error.hint);
  return new ParetuneError(error.code, error.message, { hint: error.hint });
}
