/** How many lanes (decode-lanes.ts) a model of a size is decoded in. Known without opening it. */
import { MOST_SHARED } from '../runtime/parameters.ts';

/** Fewer rows are not worth a message to another thread; measured on the starter agent and on 2.5 million parameters. */
const ROWS_A_LANE = 16;
const MOST_LANES = 8;
/** What each takes beside the first: a thread with a session of its own. */
export const LANE_BYTES = 40_000_000;

/**
 * The most lanes that runs of a model of so many numbers can have. A larger one keeps the threads of one session busy, and each
 * lane would read all of it (docs/measurements.md).
 */
export function mostLanes(parameters: number, threads: number): number {
  return parameters > MOST_SHARED ? 1 : Math.min(MOST_LANES, threads);
}

/** How many of them a run of so many rows is worth. */
export function laneCount(rows: number, most: number): number {
  return Math.max(1, Math.min(most, Math.floor(rows / ROWS_A_LANE)));
}
