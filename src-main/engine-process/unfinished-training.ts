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

/**
 * The folder of a training into `to`, new or of the same asking. Throws `usage` where `to` holds something else, or an
 * unfinished training that was asked for otherwise.
 */
export function openTraining(to: string, asked: Asked): string {
  const folder = join(to, folderName);
  const path = join(folder, 'asked.json');
  if (!existsSync(path)) {
    if (existsSync(to) && readdirSync(to).some((name) => name !== folderName)) {
      throw new ParetuneError('usage', `${to} is not empty.`, { hint: 'Name a new folder with --to.' });
    }
    mkdirSync(folder, { recursive: true });
    writeFileAtomic(path, JSON.stringify(asked, null, 1));
    return folder;
  }
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
  return folder;
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
export function restoreTraining(folder: string, trained: Trained): (Remembered & { step: number }) | null {
  const last = listCheckpoints(folder).at(-1);
  if (last === undefined) return null;
  return { ...restoreTrained<Remembered>(trained, join(folder, last.folder)), step: last.step };
}

/** Saves a training; what was saved before is removed once this is whole. */
export function saveTraining(folder: string, trained: Trained, step: number, loss: Remembered['loss']): void {
  saveTrained(folder, trained, step, { optimizerUpdates: trained.optimizer.updates, loss });
  pruneCheckpoints(folder, new Set([step]));
}

/** The model is whole: nothing is needed of its making. */
export function endTraining(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
