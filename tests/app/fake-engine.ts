/** An engine process in this process, for tests: what it was sent, and what the test makes it say. */
import type { EngineProcess } from '../../src-main/app/engine-lane.ts';
import type { Reply, Request } from '../../src-main/engine-process/protocol.ts';

export type FakeEngine = EngineProcess & {
  sent: Request[];
  killed: boolean;
  say(reply: Reply): void;
  die(code: number, lastWords?: string): void;
  /** the id of the last command of this name */
  idOf(command: string): number;
};

export function fakeEngine(): FakeEngine {
  const message: ((message: unknown) => void)[] = [];
  const exit: ((code: number) => void)[] = [];
  const errors: ((chunk: { toString(): string }) => void)[] = [];
  const engine: FakeEngine = {
    sent: [],
    killed: false,
    postMessage: (request) => void engine.sent.push(request as Request),
    kill() {
      engine.killed = true;
      queueMicrotask(() => engine.die(0));
      return true;
    },
    on(name: string, listener: (value: never) => void) {
      if (name === 'message') message.push(listener as (message: unknown) => void);
      else exit.push(listener as (code: number) => void);
    },
    stderr: { on: (_name, listener) => void errors.push(listener) },
    say: (reply) => {
      for (const listener of message) listener(reply);
    },
    die(code, lastWords = '') {
      for (const listener of errors) listener(lastWords);
      for (const listener of exit) listener(code);
    },
    idOf(command) {
      const found = engine.sent.findLast((request) => request.kind === 'command' && request.command === command);
      if (found === undefined) throw new Error(`nothing asked for ${command}`);
      return found.id;
    },
  };
  return engine;
}
