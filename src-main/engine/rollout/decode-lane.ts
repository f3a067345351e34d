/** The worker thread of a lane (decode-lanes.ts): an engine of one thread on weights and a cache that all lanes share. */
import { workerData } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { answerQuestions } from '../base/thread.ts';
import { DecodeEngine } from './decode-engine.ts';
import { type LaneRun, type LaneStart, runLane } from './decode-lanes.ts';
import type { CachePlace } from './kv-cache.ts';

const { policy, settings } = workerData as LaneStart;

answerQuestions(() => {
  const engine = new DecodeEngine(policy, settings);
  let place: CachePlace | null = null;
  return (run: LaneRun) => {
    place = run.place ?? place;
    assert(place !== null, 'the first run of a lane says where its cache is');
    return runLane(engine, run, place);
  };
});
