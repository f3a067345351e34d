/**
 * Readers of corpus files that users bring: an object of title -> text or list of sentences (the HotpotQA paragraphs), or
 * JSON lines of {title, text}. Not the index (store/corpus-index.ts). The files are untrusted: sizes are bounded and every
 * complaint names file and place.
 */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import type { Passage } from './search.ts';

/** A JSON object is parsed in one piece, and V8 holds no longer string. JSON lines have no limit of file size. */
const maxObjectBytes = 256 * 2 ** 20;
const maxLineCharacters = 8 * 2 ** 20;

const corpusObject = z.record(z.string(), z.union([z.string(), z.array(z.string())]));
const corpusLine = z.object({ title: z.string(), text: z.string() });

function bad(path: string, place: string, problem: string, cause?: unknown): ParetuneError {
  return new ParetuneError('bad-data', `${path}${place}: ${problem}`, {
    cause,
    hint: 'A corpus is a JSON object of title -> text or sentences, or a .jsonl file of {"title", "text"}.',
  });
}

async function* readObject(path: string): AsyncGenerator<Passage> {
  const { size } = await stat(path);
  if (size > maxObjectBytes) {
    throw bad(path, '', `${size} bytes as one JSON object; at most ${maxObjectBytes} are read. Use JSON lines.`);
  }
  const text = await readFile(path, 'utf8');
  const parsed = corpusObject.safeParse(parseJson(text.replace(/^\ufeff/, ''), path, ''));
  if (!parsed.success) throw bad(path, '', z.prettifyError(parsed.error).slice(0, 300));
  for (const [title, value] of Object.entries(parsed.data)) {
    yield { title, text: typeof value === 'string' ? value : value.map((sentence) => sentence.trim()).join(' ') };
  }
}

async function* readLines(path: string): AsyncGenerator<Passage> {
  let number = 0;
  for await (const line of linesOf(path)) {
    number++;
    if (line.trim() === '') continue;
    const parsed = corpusLine.safeParse(parseJson(line.replace(/^\ufeff/, ''), path, `:${number}`));
    if (!parsed.success) throw bad(path, `:${number}`, z.prettifyError(parsed.error).slice(0, 300));
    yield parsed.data;
  }
}

/** The lines of a file, refusing one that would not end: node:readline would gather it whole first. */
async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(path, 'utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split(/\r?\n/);
    rest = lines.pop()!;
    yield* lines;
    if (rest.length > maxLineCharacters) throw bad(path, '', `a line of more than ${maxLineCharacters} characters`);
  }
  yield rest;
}

function parseJson(text: string, path: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw bad(path, place, `not JSON: ${(cause as Error).message}`, cause);
  }
}

/** The passages of a corpus file in its order; `.jsonl` and `.ndjson` are read line by line, anything else as one object. */
export async function* readCorpusFile(path: string): AsyncGenerator<Passage> {
  try {
    yield* /\.(jsonl|ndjson)$/i.test(path) ? readLines(path) : readObject(path);
  } catch (cause) {
    if (cause instanceof ParetuneError || !(cause instanceof Error && 'code' in cause)) throw cause;
    throw new ParetuneError('not-found', `The corpus file ${path} cannot be read (${String(cause.code)}).`, { cause });
  }
}
