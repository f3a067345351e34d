/** A text file that the user asked for, its folder made where it is missing. Error: `disk`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { ParetuneError } from '../contract/errors.ts';

export function writeText(file: string, text: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  } catch (cause) {
    throw new ParetuneError('disk', `${file} cannot be written: ${(cause as Error).message}`, { cause });
  }
}
