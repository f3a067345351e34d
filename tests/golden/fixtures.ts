/**
 * Where the golden fixtures are: the folder named by PARETUNE_GOLDEN (the format of a golden README: any seed, any subset
 * of its files), else the small copies in tests/fixtures/golden. Only tests import this.
 *
 * In these files `null` is NaN where a number is expected and "inf" / "-inf" are strings; since null can also mean
 * "absent", nothing is converted on reading: pass a field that must be a number through `goldenNumber`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const copies = fileURLToPath(new URL('../fixtures/golden', import.meta.url));

/** The folder in use, absolute. */
export const goldenFolder: string = process.env.PARETUNE_GOLDEN || copies;

/** Whether it is the whole set that the caller named and not our trimmed copies. */
export const goldenIsWhole: boolean = goldenFolder !== copies;

/** Absolute path of a file below the golden folder, e.g. goldenPath('models/llama/config.json'). */
export function goldenPath(name: string): string {
  return join(goldenFolder, name);
}

/** For `test(name, { skip: goldenMissing('stats.json') }, ...)`: false when the file is there, else why the test is skipped. */
export function goldenMissing(name: string): string | false {
  return existsSync(goldenPath(name)) ? false : `no ${name} in ${goldenFolder}`;
}

/** A JSON file of the golden folder, as it is written. */
export function goldenFile<T>(name: string): T {
  return JSON.parse(readFileSync(goldenPath(name), 'utf8')) as T;
}

/** A number as the fixtures write it. */
export type GoldenNumber = number | null | 'inf' | '-inf';

/** null -> NaN, "inf" -> Infinity, "-inf" -> -Infinity. */
export function goldenNumber(value: GoldenNumber): number {
  if (value === null) return Number.NaN;
  if (value === 'inf') return Number.POSITIVE_INFINITY;
  if (value === '-inf') return Number.NEGATIVE_INFINITY;
  return value;
}
