/**
 * A settings file as a value with the lines its parts stand in: YAML or JSON (which is YAML), bounded, hostile files
 * refused. Not here: what a setting is (run-settings.ts).
 */
import { readFileSync, statSync } from 'node:fs';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { ParetuneError } from '../contract/errors.ts';

export type SettingsFile = {
  value: unknown;
  /** where the value at a path of keys and indices begins, or the nearest part around it; null for the file as a whole */
  lineOf(path: readonly PropertyKey[]): number | null;
};

const maxSettingsBytes = 1_000_000;
const hint = 'paretune tune --list-settings > settings.yaml writes one to start from';

/** The text of a settings file. Errors: `not-found`, `bad-file` for one that is too long or no text. */
export function settingsText(path: string): string {
  try {
    if (statSync(path).size > maxSettingsBytes) {
      throw new ParetuneError(
        'bad-file',
        `${path} is larger than ${maxSettingsBytes} bytes, which no settings file is`,
      );
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (cause) {
    if (cause instanceof ParetuneError) throw cause;
    if (cause instanceof TypeError) throw new ParetuneError('bad-file', `${path} is not UTF-8 text`, { cause, hint });
    const { message } = cause as Error;
    throw new ParetuneError('not-found', `the settings file ${path} cannot be read: ${message}`, { hint, cause });
  }
}

/** Parses a text whose origin messages name as `path`. Errors: `bad-file`, with the line that is wrong. */
export function parseSettings(text: string, path: string): SettingsFile {
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, { schema: 'core', uniqueKeys: true, lineCounter: lines, logLevel: 'error' });
    const [error] = document.errors;
    if (error) throw new ParetuneError('bad-file', `${path} is not valid YAML: ${error.message}`);
    // aliases that multiply end here
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    return {
      value,
      lineOf(keys) {
        let node: unknown = document.contents;
        let offset: number | undefined;
        for (const key of keys) {
          if (isAlias(node)) node = node.resolve(document);
          if (isMap(node)) {
            const pair = node.items.find(
              (item) => String(isScalar(item.key) ? item.key.value : item.key) === String(key),
            );
            if (pair === undefined) break;
            offset = isScalar(pair.key) ? pair.key.range?.[0] : offset;
            node = pair.value;
          } else if (isSeq(node)) {
            node = node.items[Number(key)];
            const range = (node as { range?: [number, number, number] | null } | undefined)?.range;
            offset = range?.[0] ?? offset;
          } else break;
        }
        return offset === undefined ? null : lines.linePos(offset).line;
      },
    };
  } catch (cause) {
    if (cause instanceof ParetuneError) throw cause;
    const why = cause instanceof RangeError ? 'it is nested too deeply' : (cause as Error).message;
    throw new ParetuneError('bad-file', `${path} cannot be used: ${why}`, { cause });
  }
}
