/** A store for the length of one command. */
import { ParetuneError } from '../contract/errors.ts';
import { openStore, type Store } from '../store/open-store.ts';

/** Hands an open store to `use` and closes it afterwards, also when the user stops or something fails. */
export async function withStore<T>(
  dataFolder: string,
  mode: 'read' | 'write',
  use: (store: Store) => T | Promise<T>,
): Promise<T> {
  const store = openStore(dataFolder, { mode });
  try {
    if (mode === 'write' && store.mode === 'read') {
      const writer = store.writer();
      const who = writer === null ? 'another process' : `process ${writer.pid} on ${writer.host}`;
      throw new ParetuneError('store', `${who} writes the data folder ${dataFolder}: one run at a time.`, {
        hint: 'Wait until it has ended, stop it, or give this run a folder of its own with --data DIR.',
      });
    }
    return await use(store);
  } finally {
    store.close();
  }
}
