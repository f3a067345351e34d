/**
 * Reading the small files of a model folder that somebody else made: names stay inside the folder, sizes are bounded,
 * JSON is parsed, and every failure says which file it was. What the files mean is for the callers.
 */
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ParetuneError } from '../../contract/errors.ts';

/** tokenizer.json of the largest vocabularies has 35 MB. */
const MAX_TEXT_BYTES = 200_000_000;

/**
 * The path of a file of the folder, or null where it is missing. Names from index files come from strangers: throws
 * `bad-file` for a name that is not a bare file name, and for a link that leads out of the folder.
 */
export function fileInFolder(folder: string, name: string): string | null {
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(name)) {
    throw new ParetuneError(
      'bad-file',
      `${folder} names a file ${JSON.stringify(name.slice(0, 100))}; allowed are bare file names.`,
      {
        hint: 'Do not use this model folder unless you know who made it.',
      },
    );
  }
  const path = join(folder, name);
  if (!existsSync(path)) return null;
  if (dirname(realpathSync(path)) !== realpathSync(folder)) {
    throw new ParetuneError('bad-file', `${path} is a link that leads out of its folder.`, {
      hint: 'Copy the files themselves into the folder (the Hugging Face cache holds links; download to a folder of your own).',
    });
  }
  if (!statSync(path).isFile()) throw new ParetuneError('bad-file', `${path} is not a file.`);
  return path;
}

/** The text of a file of the folder, null where it is missing. Throws `bad-file` if it is too long or not UTF-8. */
export function readText(folder: string, name: string): string | null {
  const path = fileInFolder(folder, name);
  if (path === null) return null;
  const { size } = statSync(path);
  if (size > MAX_TEXT_BYTES) {
    throw new ParetuneError('bad-file', `${path} has ${size} bytes; at most ${MAX_TEXT_BYTES} are read.`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (cause) {
    throw new ParetuneError('bad-file', `${path} cannot be read as UTF-8 text.`, { cause });
  }
}

/** The JSON value of a file of the folder, null where it is missing. Throws `bad-file`. */
export function readJson(folder: string, name: string): unknown {
  const text = readText(folder, name);
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ParetuneError('bad-file', `${join(folder, name)} is not valid JSON: ${(cause as Error).message}.`, {
      hint: 'The file is damaged or incomplete: download or save it again.',
      cause,
    });
  }
}

/** Up to five names, and how many more there are. */
export function someNames(names: readonly string[]): string {
  const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
  return names.slice(0, 5).join(', ') + more;
}
