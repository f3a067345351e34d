/**
 * A JSON reader for headers of untrusted files. JSON.parse keeps the last of two equal keys, so two readers can see two
 * different files in the same bytes; this one refuses duplicate keys, depth beyond a bound and everything RFC 8259 does
 * not allow. Strings and numbers are handed to JSON.parse, so that only the structure is ours.
 */
import type { Json } from '../../contract/records.ts';

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\r\n]*/y;
const WORDS: Record<string, Json> = { true: true, false: false, null: null };

/** The value of a JSON text; objects have no prototype. Throws SyntaxError that names the place, never anything else. */
export function parseStrictJson(text: string, maxDepth = 64): Json {
  let position = 0;

  const fail = (what: string): never => {
    throw new SyntaxError(`${what} at character ${position}`);
  };
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = position;
    const match = pattern.exec(text);
    if (match === null) return null;
    position += match[0].length;
    return match[0];
  };
  /** Skips white space, then says whether the next character is this one, and if so skips it. */
  const next = (character: string): boolean => {
    take(SPACE);
    if (text[position] !== character) return false;
    position++;
    return true;
  };
  const string = (): string => {
    if (text[position] !== '"') fail('no string');
    // The closing quote is the first one after an even number of backslashes.
    let end = position;
    let backslashes: number;
    do {
      end = text.indexOf('"', end + 1);
      if (end < 0) fail('an endless string');
      backslashes = 0;
      while (text[end - 1 - backslashes] === '\\') backslashes++;
    } while (backslashes % 2 === 1);
    const token = text.slice(position, end + 1);
    position = end + 1;
    try {
      return JSON.parse(token);
    } catch {
      return fail('a malformed string ends');
    }
  };
  const object = (depth: number): Json => {
    const result: { [key: string]: Json } = Object.create(null);
    if (next('}')) return result;
    do {
      take(SPACE);
      const key = string();
      if (key in result) fail(`duplicate key ${JSON.stringify(key.slice(0, 80))}`);
      if (!next(':')) fail('no colon');
      result[key] = value(depth);
    } while (next(','));
    if (!next('}')) fail('an object does not end');
    return result;
  };
  const array = (depth: number): Json => {
    const result: Json[] = [];
    if (next(']')) return result;
    do result.push(value(depth));
    while (next(','));
    if (!next(']')) fail('an array does not end');
    return result;
  };
  const value = (depth: number): Json => {
    if (depth > maxDepth) fail(`more than ${maxDepth} levels`);
    if (next('{')) return object(depth + 1);
    if (next('[')) return array(depth + 1);
    if (text[position] === '"') return string();
    const number = take(NUMBER);
    if (number !== null) return Number(number);
    const word = Object.keys(WORDS).find((name) => text.startsWith(name, position)) ?? fail('no value');
    position += word.length;
    return WORDS[word];
  };

  const result = value(0);
  take(SPACE);
  if (position !== text.length) fail('more text');
  return result;
}
