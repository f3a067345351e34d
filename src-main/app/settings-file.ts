/**
 * What the app itself remembers, in one JSON file of the user's profile: theme, place of the window, where the data lies,
 * and what the window wants kept. A damaged file is put aside, never in the way. Written whole or not at all.
 */
import { readFileSync, renameSync } from 'node:fs';
import { z } from 'zod';
import type { Json } from '../contract/records.ts';
import { writeFileAtomic } from '../engine/base/atomic-file.ts';

const rectangle = z.object({ x: z.int(), y: z.int(), width: z.int().min(200), height: z.int().min(200) });

const schema = z.object({
  theme: z.enum(['system', 'light', 'dark']).default('system'),
  /** null: the folder that the command line uses too */
  dataFolder: z.string().nullable().default(null),
  /** a copy of the data that is being made; after a kill it is removed at the next start */
  unfinishedMove: z.string().nullable().default(null),
  window: rectangle.extend({ maximized: z.boolean() }).nullable().default(null),
  /** out of sight, and to be removed for good */
  deletedRuns: z.array(z.string()).default([]),
  kept: z.record(z.string(), z.json()).default({}),
});
export type AppSettings = z.output<typeof schema>;
export type WindowPlace = NonNullable<AppSettings['window']>;

export type SettingsFile = {
  get(): AppSettings;
  set(change: Partial<AppSettings>): void;
  /** null forgets */
  keep(name: string, value: Json): void;
};

/** All kept values together, as JSON. */
const mostKept = 16_000_000;

export function openSettings(path: string): SettingsFile {
  let settings = read(path);
  const set = (change: Partial<AppSettings>) => {
    settings = { ...settings, ...change };
    writeFileAtomic(path, JSON.stringify(settings, null, 2));
  };
  return {
    get: () => settings,
    set,
    keep(name, value) {
      const { [name]: _, ...others } = settings.kept;
      const kept = value === null ? others : { ...others, [name]: value };
      if (JSON.stringify(kept).length <= mostKept) set({ kept });
    },
  };
}

function read(path: string): AppSettings {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return schema.parse({});
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    try {
      renameSync(path, `${path}.damaged`);
    } catch {
      // it stays where it is and is overwritten by the next change
    }
    return schema.parse({});
  }
}
