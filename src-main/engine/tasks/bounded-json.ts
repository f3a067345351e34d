/**
 * A bounded reader of rows from JSON files that nobody here wrote: one JSON object a line (JSONL), or one array of
 * objects. A row that cannot be used is an item with a complaint, not an exception, so that all complaints of a file can
 * be told at once. What a row means is the caller's (user-task.ts, tool-traces.ts).
 */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { ParetuneError } from '../../contract/errors.ts';
import type { Json } from '../../contract/records.ts';

export const rowLimits = { lineBytes: 8 * 2 ** 20, arrayBytes: 256 * 2 ** 20, depth: 64, rows: 1_000_000 };

export type JsonObject = { [key: string]: Json };

/** A row with its place ("line 12", or "row 12" of an array, both from 1), or why there is none. */
export type Row = { place: string; row: JsonObject } | { place: string; complaint: string };

/** Names that would reach an object's prototype: dropped wherever they stand. */
const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype']);

/** An escaped NUL whose backslash is not itself escaped. */
const escapedNul = /(?<!\\)(?:\\\\)*\\u0000/;

const newline = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The rows of a file in order, blank lines left out. Throws a ParetuneError when the file cannot be read at all. */
export async function* readRows(path: string): AsyncGenerator<Row> {
  try {
    yield* (await startsWithBracket(path)) ? readArray(path) : readLines(path);
  } catch (cause) {
    if (cause instanceof ParetuneError || !(cause instanceof Error && 'code' in cause)) throw cause;
    throw new ParetuneError('not-found', `The file ${path} cannot be read (${String(cause.code)}).`, { cause });
  }
}

async function startsWithBracket(path: string): Promise<boolean> {
  for await (const chunk of createReadStream(path, { end: 4095 }) as AsyncIterable<Buffer>) {
    return /^\ufeff?\s*\[/.test(chunk.toString('utf8'));
  }
  return false;
}

async function* readArray(path: string): AsyncGenerator<Row> {
  const { size } = await stat(path);
  if (size > rowLimits.arrayBytes) {
    throw new ParetuneError(
      'bad-data',
      `${path} is one JSON array of ${size} bytes, at most ${rowLimits.arrayBytes}.`,
      {
        hint: 'Write one JSON object a line (JSONL): such a file may be of any size.',
      },
    );
  }
  const parsed = parse(await readFile(path), rowLimits.depth + 1);
  if (typeof parsed === 'string') {
    throw new ParetuneError('bad-data', `${path}: ${parsed}.`, {
      hint: 'The file is damaged or incomplete: save it again, as one JSON array or as one JSON object a line.',
    });
  }
  const rows = parsed.value as Json[];
  for (const [i, value] of rows.entries()) yield toRow(`row ${i + 1}`, value);
}

async function* readLines(path: string): AsyncGenerator<Row> {
  let number = 0;
  for await (const line of splitLines(path)) {
    number++;
    const place = `line ${number}`;
    if (line === null) {
      yield { place, complaint: `longer than ${rowLimits.lineBytes} bytes` };
      continue;
    }
    if (isBlank(line)) continue;
    const parsed = parse(line, rowLimits.depth);
    yield typeof parsed === 'string' ? { place, complaint: parsed } : toRow(place, parsed.value);
  }
}

/** The lines of a file as bytes without their ending; null for one that is too long, of which nothing is kept. */
async function* splitLines(path: string): AsyncGenerator<Buffer | null> {
  let pieces: Buffer[] = [];
  let length = 0;
  const take = () => {
    const line = length > rowLimits.lineBytes ? null : Buffer.concat(pieces);
    pieces = [];
    length = 0;
    return line;
  };
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let start = 0;
    while (start < chunk.length) {
      const found = chunk.indexOf(newline, start);
      const end = found < 0 ? chunk.length : found;
      length += end - start;
      if (length <= rowLimits.lineBytes) pieces.push(chunk.subarray(start, end));
      else pieces = [];
      start = end + 1;
      if (found >= 0) yield take();
    }
  }
  if (length > 0) yield take();
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

/** The value of UTF-8 JSON without forbidden keys, or what is wrong with it. */
function parse(bytes: Buffer, maxDepth: number): { value: Json } | string {
  let text: string;
  try {
    text = utf8.decode(bytes).replace(/^\ufeff/, '');
  } catch {
    return 'not valid UTF-8';
  }
  if (text.includes('\0')) return 'holds a NUL byte';
  if (depthOf(text) > maxDepth) return `nested deeper than ${rowLimits.depth}`;
  try {
    const value = JSON.parse(text) as Json;
    if (escapedNul.test(text)) return 'holds a NUL character';
    return { value: withoutForbidden(value) };
  } catch (error) {
    return `not JSON (${(error as Error).message.slice(0, 120)})`;
  }
}

function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (inString) {
      if (c === '\\') i++;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === '{' || c === '[') deepest = Math.max(deepest, ++depth);
    else if (c === '}' || c === ']') depth--;
  }
  return deepest;
}

function withoutForbidden(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutForbidden);
  if (value === null || typeof value !== 'object') return value;
  const kept = Object.entries(value).filter(([key]) => !forbiddenKeys.has(key));
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutForbidden(inner)]));
}

function toRow(place: string, value: Json): Row {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return { place, row: value };
  return { place, complaint: `${describe(value)}, not an object` };
}

/** A value in a few words, for messages: its kind and how it begins. */
export function describe(value: Json | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  const text = JSON.stringify(value);
  const kind = Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
  return `${kind} (${text.length > 40 ? text.slice(0, 40) + '...' : text})`;
}

/** What a row becomes, or why it cannot. */
export type Reading<T> = { value: T } | { complaint: string };

const maxComplaints = 20;

/**
 * All rows of a file through `read`. Throws one ParetuneError that names up to 20 bad rows by their place, when there is
 * any, when there is no row at all, or when there are more than a million.
 */
export async function readAll<T>(path: string, hint: string, read: (row: JsonObject) => Reading<T>): Promise<T[]> {
  const values: T[] = [];
  const complaints: string[] = [];
  for await (const item of readRows(path)) {
    const reading = 'complaint' in item ? item : read(item.row);
    if ('value' in reading) values.push(reading.value);
    else complaints.push(`${item.place}: ${reading.complaint}`);
    if (complaints.length === maxComplaints) break;
    if (values.length > rowLimits.rows) complaints.push(`${item.place}: more than ${rowLimits.rows} rows`);
  }
  if (values.length === 0 && complaints.length === 0) complaints.push('the file holds no row');
  if (complaints.length === 0) return values;
  const more = complaints.length === maxComplaints ? '\n  (reading stopped here)' : '';
  throw new ParetuneError('bad-data', `${path} cannot be used:\n  ${complaints.join('\n  ')}${more}`, { hint });
}
