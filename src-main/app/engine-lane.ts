/**
 * One engine process and the watch over it: started when it is first asked for, told to stop, waited for, ended. Its death
 * rejects what waits and is told once; the next question starts another. Knows no Electron: the utility process is handed
 * in. Not here: what a death means for a run (active-run.ts) and for the window (feed.ts).
 */
import { ParetuneError } from '../contract/errors.ts';
import type { Json } from '../contract/records.ts';
import type { RunEvent } from '../contract/run-events.ts';
import type { CallProgress } from '../contract/window-api.ts';
import { type Reply, replySchema, type Request } from '../engine-process/protocol.ts';

/** What is used of Electron's UtilityProcess. */
export type EngineProcess = {
  postMessage(message: unknown): void;
  kill(): boolean;
  on(name: 'message', listener: (message: unknown) => void): unknown;
  on(name: 'exit', listener: (code: number) => void): unknown;
  stderr?: { on(name: 'data', listener: (chunk: { toString(): string }) => void): unknown } | null;
};

export type LaneOptions = {
  start(): EngineProcess;
  /** milliseconds without a sign of life, while somebody waits, after which the process is ended */
  silenceMs: number;
  onReady?(): void;
  /** told at half of silenceMs, and with 0 when it speaks again */
  onSilence?(milliseconds: number): void;
  onDeath?(death: Death): void;
};

/** `asked`: we ended it ourselves, in order. `output` is the last of what it wrote to stderr. */
export type Death = { reason: string; memory: boolean; asked: boolean; output: string };

export type Listeners = {
  onEvent?(event: RunEvent): void;
  onProgress?(progress: CallProgress): void;
  /** one part of the answer before the whole */
  onItem?(item: Json): void;
};

/** An answer under way. `stop` asks it to finish what it does and save; it still answers. */
export type Asked = { result: Promise<Json>; stop(): void };

export type Lane = {
  ask(command: string, payload: Json, listeners?: Listeners): Asked;
  /** whether a process is there */
  alive(): boolean;
  /** starts the process if there is none */
  wake(): void;
  /** asks all to stop, waits at most `waitMs`, ends the process */
  end(waitMs: number): Promise<void>;
};

const tailLength = 4000;

type Waiting = { listeners: Listeners; resolve(value: Json): void; reject(error: unknown): void };
type Life = {
  process: EngineProcess;
  waiting: Map<number, Waiting>;
  tail: string;
  ready: boolean;
  ending: string | null;
};

/** A lane without a process yet. */
export function engineLane(options: LaneOptions): Lane {
  let life: Life | null = null;
  let nextId = 0;
  let watchdog: ReturnType<typeof setInterval> | undefined;
  const exits = new Set<() => void>();

  function wake(): Life {
    if (life !== null) return life;
    const born: Life = { process: options.start(), waiting: new Map(), tail: '', ready: false, ending: null };
    life = born;
    // Silence is counted in ticks, not by the clock: a machine that slept has not been silent.
    const tickMs = Math.max(20, Math.min(1000, options.silenceMs / 10));
    let silentMs = 0;
    watchdog = setInterval(() => {
      silentMs = born.waiting.size > 0 ? silentMs + tickMs : 0;
      if (silentMs >= options.silenceMs / 2 && silentMs - tickMs < options.silenceMs / 2) options.onSilence?.(silentMs);
      if (silentMs < options.silenceMs || born.ending !== null) return;
      born.ending = `gave no sign of life for ${Math.round(silentMs / 1000)} s and was ended`;
      born.process.kill();
    }, tickMs);
    born.process.stderr?.on('data', (chunk) => {
      born.tail = (born.tail + chunk.toString()).slice(-tailLength);
    });
    born.process.on('message', (message) => {
      if (silentMs >= options.silenceMs / 2) options.onSilence?.(0);
      silentMs = 0;
      if (!born.ready) {
        born.ready = true;
        options.onReady?.();
      }
      receive(born, replySchema.parse(message));
    });
    born.process.on('exit', (code) => bury(born, code));
    return born;
  }

  function receive(from: Life, reply: Reply): void {
    if (reply.kind === 'heartbeat') return;
    const asked = from.waiting.get(reply.id);
    if (asked === undefined) return;
    if (reply.kind === 'event') asked.listeners.onEvent?.(reply.event);
    else if (reply.kind === 'progress') asked.listeners.onProgress?.(reply.progress);
    else if (reply.kind === 'item') asked.listeners.onItem?.(reply.item);
    else if (reply.kind === 'result' || reply.kind === 'error') {
      from.waiting.delete(reply.id);
      if (reply.kind === 'result') asked.resolve(reply.result);
      else asked.reject(reply.error);
    }
  }

  function bury(dead: Life, code: number): void {
    if (life !== dead) return;
    life = null;
    clearInterval(watchdog);
    const memory = /heap out of memory|bad_alloc|Cannot allocate memory/i.test(dead.tail);
    const reason = dead.ending ?? (memory ? 'ran out of memory' : ended(code));
    const death: Death = { reason, memory, asked: dead.ending === '', output: dead.tail };
    const error = death.asked
      ? new ParetuneError('interrupted', 'Stopped.')
      : new ParetuneError(memory ? 'memory' : 'engine', `The engine ${reason}.`, {
          hint: 'Nothing that was saved is lost. Restart the engine and try again.',
        });
    for (const { reject } of dead.waiting.values()) reject(error);
    dead.waiting.clear();
    for (const done of exits) done();
    exits.clear();
    options.onDeath?.(death);
  }

  const send = (to: Life, request: Request) => to.process.postMessage(request);

  return {
    ask(command, payload, listeners = {}) {
      const asked = wake();
      const id = nextId++;
      const result = new Promise<Json>((resolve, reject) => asked.waiting.set(id, { listeners, resolve, reject }));
      send(asked, { kind: 'command', id, command, payload: JSON.parse(JSON.stringify(payload)) as Json });
      return {
        result,
        stop: () => {
          if (life === asked && asked.waiting.has(id)) send(asked, { kind: 'stop', id });
        },
      };
    },
    alive: () => life !== null,
    wake: () => void wake(),
    async end(waitMs) {
      const dying = life;
      if (dying === null) return;
      const exited = new Promise<void>((done) => exits.add(done));
      for (const id of dying.waiting.keys()) send(dying, { kind: 'stop', id });
      const until = performance.now() + waitMs;
      while (life === dying && dying.waiting.size > 0 && performance.now() < until) await sleep(50);
      if (life !== dying) return;
      dying.ending ??= '';
      dying.process.kill();
      await exited;
    },
  };
}

/** Windows reports a native fault as an exit code of the form 0xC0000005. */
function ended(code: number): string {
  const unsigned = code >>> 0;
  if (unsigned > 0x8000_0000) return `ended by a native fault (0x${unsigned.toString(16).toUpperCase()})`;
  return `ended unexpectedly (exit code ${code ?? 'unknown'})`;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}
