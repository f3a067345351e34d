/**
 * The folder of a study's shards: one small JSON file a run, whole or absent, found by the hash of the run's configuration.
 * They may come from several machines; copying them together is all it takes.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import { type Shard, shardSchema, type StudyRun } from '../contract/study.ts';
import { writeFileAtomic } from '../engine/base/atomic-file.ts';
import { hashOf } from './study-runs.ts';

const maxBytes = 20_000_000;

/** Writes a shard under a name that a person can read. */
export function writeShard(folder: string, shard: Shard): string {
  mkdirSync(folder, { recursive: true });
  const { cell, method, variant, seed, configHash } = shard;
  const parts = [cell, method, ...(variant === 'default' ? [] : [variant]), `s${seed}`, configHash.slice(0, 10)];
  const path = join(folder, `${parts.join('_')}.json`);
  writeFileAtomic(path, `${JSON.stringify(shardSchema.parse(shard))}\n`);
  return path;
}

/**
 * All shards of a folder by configuration hash; empty where there is no folder. A file that is no shard, or whose hash is not
 * that of its configuration, is a `bad-file` error: a result must not be lost or invented silently.
 */
export function readShards(folder: string): Map<string, Shard> {
  const shards = new Map<string, Shard>();
  if (!existsSync(folder)) return shards;
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith('.json') || file.startsWith('.')) continue;
    const shard = readShard(join(folder, file));
    shards.set(shard.configHash, shard);
  }
  return shards;
}

function readShard(path: string): Shard {
  const wrong = (why: string) =>
    new ParetuneError('bad-file', `${path} is not a shard of a study: ${why}`, { hint: 'Move it out of the folder.' });
  if (statSync(path).size > maxBytes) throw wrong(`it is larger than ${maxBytes} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw wrong((error as Error).message);
  }
  const { success, data, error } = shardSchema.safeParse(value);
  if (!success) throw wrong(z.prettifyError(error));
  if (hashOf(data.config) !== data.configHash) throw wrong('its hash is not that of its configuration');
  return data;
}

/** The shards that answer a study's runs, under the names that the study gives them now; and how many are of other settings. */
export function matchShards(
  runs: readonly StudyRun[],
  shards: ReadonlyMap<string, Shard>,
): { done: Shard[]; missing: StudyRun[]; others: number } {
  const done = runs.flatMap((run) => {
    const shard = shards.get(run.configHash);
    return shard === undefined ? [] : [{ ...shard, cell: run.cell, method: run.method, variant: run.variant }];
  });
  const missing = runs.filter(({ configHash }) => !shards.has(configHash));
  return { done, missing, others: shards.size - done.length };
}
