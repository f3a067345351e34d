/**
 * The engine's channel to whoever started it: process messages of a fork, or the parent port of Electron's
 * utilityProcess (which it uses without importing electron). The process lives as long as its parent: it ends when the
 * channel closes, and leaves Ctrl-C, which a terminal sends to the whole process group, to the parent.
 */
import type { Connection } from './serve.ts';

/** The part of Electron's parentPort that is used here. */
type ParentPort = {
  postMessage(message: unknown): void;
  on(name: 'message', listener: (event: { data: unknown }) => void): void;
};

/** Call once, before anything else that could take long. */
export function connectToParent(): Connection {
  const { parentPort } = process as NodeJS.Process & { parentPort?: ParentPort };
  if (parentPort) {
    return {
      send: (reply) => parentPort.postMessage(reply),
      onMessage: (listener) => parentPort.on('message', (event) => listener(event.data)),
    };
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {});
  process.on('disconnect', () => process.exit(0));
  return {
    send: (reply) => {
      // a failed send means that the parent is gone; `disconnect` follows
      if (process.connected) process.send?.(reply, () => {});
    },
    onMessage: (listener) => process.on('message', listener),
  };
}
