/** All that can be asked of an open database, as one object: the same for the writer, a reader and the reader worker. */
import { type Connection, explainFailures } from './database.ts';
import { groups } from './page-groups.ts';
import { trajectories } from './page-trajectories.ts';
import { outcomes, stepNumbers } from './read-outcomes.ts';
import { calledTools, events, statistics } from './read-events.ts';
import {
  artifacts,
  checkpoints,
  evaluations,
  frontier,
  notices,
  priceChanges,
  steps,
  stepTotals,
} from './read-rows.ts';
import { getRun, listRuns } from './read-runs.ts';
import { readStep, trajectory } from './read-trajectories.ts';

const queries = {
  listRuns,
  getRun,
  steps,
  stepTotals,
  stepNumbers,
  outcomes,
  evaluations,
  frontier,
  checkpoints,
  notices,
  priceChanges,
  artifacts,
  events,
  statistics,
  calledTools,
  readStep,
  groups,
  trajectories,
  trajectory,
};

type WithoutConnection<F> = F extends (db: Connection, ...args: infer A) => infer R ? (...args: A) => R : never;

/** Each of these functions without its first argument. A run is named as getRun says. */
export type Readers = { [K in keyof typeof queries]: WithoutConnection<(typeof queries)[K]> };

/** The names of all readers, for a caller that gets one as text. */
export const readerNames = Object.keys(queries) as (keyof Readers)[];

/** The readers of one connection. What SQLite throws becomes a `store` or `disk` error that names `path`. */
export function readersOf(db: Connection, path: string): Readers {
  const bound = Object.entries(queries).map(([name, query]) => {
    const read = query as (db: Connection, ...args: unknown[]) => unknown;
    // One read transaction: all that a reader sees is of one moment, also while another process writes.
    return [
      name,
      (...args: unknown[]) => explainFailures(path, () => db.transaction(() => read(db, ...args)).deferred()),
    ];
  });
  return Object.fromEntries(bound) as Readers;
}
