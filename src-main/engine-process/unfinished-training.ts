/**
 * What `sft` keeps beside the model that it makes, until it has come to its end: how it was asked for, and its last
 * checkpoint. The same command goes on from there, whether it was stopped or killed.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import { writeFileAtomic } from '../engine/base/atomic-file.ts';
import { restoreTrained, saveTrained, type Trained } from '../engine/run/trainer-checkpoint.ts';
import { listCheckpoints, pruneCheckpoints } from '../engine/train/checkpoint.ts';
import { parseStrictJson } from '../engine/weights/strict-json.ts';

const folderName = '.unfinished-training';

/** Everything that decides the numbers, as text: two trainings of the same asking are the same. */
export type Asked = Record<string, string>;

const askedSchema = z.record(z.string().max(200), z.string().max(10_000));

export type Remembered = {
  optimizerUpdates: number;
  /** nats, of the first and of the last update */
  loss: { first: number; last: number };
};

/** SHA-256 of anything that has a JSON form. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/** A training into a folder: where it is kept until its end, and how it was asked for. */
export type Unfinished = { folder: string; asked: Asked };

const askedName = 'asked.json';

/** Throws `usage` where a folder holds something else than an unfinished training. */
export function requireFreeFor(to: string): void {
  if (!existsSync(to) || existsSync(join(to, folderName, askedName))) return;
  if (readdirSync(to).every((name) => name === folderName)) return;
  throw new ParetuneError('usage', `${to} is not empty.`, { hint: 'Name a new folder with --to.' });
}

/** A training into `to`, of which nothing is kept before it is saved. Throws `usage` where one was asked for otherwise. */
export function openTraining(to: string, asked: Asked): Unfinished {
  const folder = join(to, folderName);
  const path = join(folder, askedName);
  if (!existsSync(path)) return { folder, asked };
  const before = readAsked(path);
  const changed = [...new Set([...Object.keys(before), ...Object.keys(asked)])].filter(
    (key) => before[key] !== asked[key],
  );
  if (changed.length > 0) {
    const list = changed.map((key) => `${key} was ${before[key] ?? 'not there'}, now ${asked[key] ?? 'not there'}`);
    throw new ParetuneError('usage', `${to} holds an unfinished training that is not this one: ${list.join('; ')}.`, {
      hint: 'Repeat the command as it was to go on, or name a new folder with --to.',
    });
  }
  return { folder, asked };
}

function readAsked(path: string): Asked {
  try {
    return askedSchema.parse(parseStrictJson(readFileSync(path, 'utf8')));
  } catch (cause) {
    throw new ParetuneError('bad-file', `${path} is not what was written there.`, {
      cause,
      hint: 'The training cannot go on: name a new folder with --to.',
    });
  }
}

/** Puts a training where it was saved last; null where it never was. */
export function restoreTraining({ folder }: Unfinished, trained: Trained): (Remembered & { step: number }) | null {
  const last = listCheckpoints(folder).at(-1);
  if (last === undefined) return null;
  return { ...restoreTrained<Remembered>(trained, join(folder, last.folder)), step: last.step };
}

/** Saves a training; what was saved before is removed once this is whole. */
export function saveTraining(
  { folder, asked }: Unfinished,
  trained: Trained,
  step: number,
  loss: Remembered['loss'],
): void {
  mkdirSync(folder, { recursive: true });
  writeFileAtomic(join(folder, askedName), JSON.stringify(asked, null, 1));
  saveTrained(folder, trained, step, { optimizerUpdates: trained.optimizer.updates, loss });
  pruneCheckpoints(folder, new Set([step]));
}

/** The model is whole: nothing is needed of its making. */
export function endTraining({ folder }: Unfinished): void {
  rmSync(folder, { recursive: true, force: true });
}
