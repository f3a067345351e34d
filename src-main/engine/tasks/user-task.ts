/**
 * Tasks from the user's files: JSONL of `prompt` or `messages` with `answer` or `answers`, and the shapes of GSM8K, SVAMP
 * and HotpotQA, told apart by their columns. Untrusted input: bounded-json.ts reads it, every complaint names its line.
 * Splits are 70 / 15 / 15 % by hash of the question, unless a row names its `split` or another file is the report split.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, extname, join, normalize, sep } from 'node:path';
import { crc32 } from 'node:zlib';
import { ParetuneError } from '../../contract/errors.ts';
import type { Grader, Problem, Split } from '../../contract/records.ts';
import { randomStream } from '../base/random.ts';
import { readAll } from './bounded-json.ts';
import { readTaskRow, rowHint, type TaskRow } from './row-shapes.ts';
import { drawDistinct, permutation, splitOf } from './splits.ts';
import type { CorpusDocument, TaskSource } from './task.ts';

export type OpenTaskOptions = {
  /** how the task is called; the file's name without its extension */
  name?: string;
  /** the corpus file that `search` looks through */
  corpus?: string;
  /** another file of the same kind whose rows are the report split; the first file then has train and selection only */
  report?: string;
  /** overrides what rows and shape say */
  grader?: Grader;
  /** overrides what rows and shape say */
  tools?: string[];
};

const parts = [14, 3, 3] as const;
const partsWithReportFile = [17, 3, 0] as const;

/** Below this many rows a split could be left empty by chance, so they are dealt out by the order of their hashes. */
const smallFile = 60;

/** Opens a task file. Throws a ParetuneError that lists the rows that cannot be used. */
export async function openTask(path: string, options: OpenTaskOptions = {}): Promise<TaskSource> {
  const name = options.name ?? basename(path, extname(path));
  const all = await readAll(path, rowHint, readTaskRow);
  const rows = splitRows(all, options.report !== undefined);
  const own = rows.map(({ row }) => row);
  if (options.report !== undefined) {
    const reported = withoutRepeats(await readAll(options.report, rowHint, readTaskRow));
    const training = new Set(own.map((row) => row.key));
    for (const row of reported) if (!training.has(row.key)) rows.push({ row, split: 'report' });
  }
  const tools = options.tools ?? [...new Set(rows.flatMap(({ row }) => row.tools))];
  const problems = rows.map(({ row, split }): Problem => {
    const { id, messages, answers, tags } = row;
    const grader = options.grader ?? row.grader;
    // a warm start on the user's own data draws from train only
    const unseen = split !== 'train';
    return { id, task: name, split, messages, tools: options.tools ?? row.tools, answers, grader, tags, unseen };
  });
  return {
    name,
    tools,
    corpus: corpusOf(path, options, own),
    repeats: all.length - own.length,
    problems(split, count, seed) {
      const all = problems.filter((problem) => problem.split === split);
      const items = permutation(all.length, randomStream(seed, name, split));
      return drawDistinct([{ weight: 1, items }], count, randomStream(seed, name)).map((i) => all[i]);
    },
  };
}

/**
 * The rows of a file with the splits they are in, without those that repeat an earlier question. Without a report file of its
 * own, what is `train` is so with one too: a warm start may learn from it.
 */
export function splitRows<T extends Pick<TaskRow, 'key' | 'split'>>(
  rows: readonly T[],
  hasReportFile = false,
): { row: T; split: Split }[] {
  const own = withoutRepeats(rows);
  const splits = chooseSplits(own, hasReportFile);
  return own.map((row, i) => ({ row, split: splits[i] }));
}

/** One row a question: what repeats an earlier one is left out, so that no split holds a question of another. */
function withoutRepeats<T extends Pick<TaskRow, 'key'>>(rows: readonly T[]): T[] {
  const seen = new Set<string>();
  return rows.filter((row) => !seen.has(row.key) && seen.add(row.key));
}

function chooseSplits(rows: readonly Pick<TaskRow, 'key' | 'split'>[], hasReportFile: boolean): Split[] {
  const chosen = hasReportFile ? partsWithReportFile : parts;
  if (rows.length >= smallFile) return rows.map((row) => row.split ?? splitOf(row.key, chosen));
  const total = chosen[0] + chosen[1] + chosen[2];
  const open = rows.filter((row) => row.split === null).sort((a, b) => crc32(a.key) - crc32(b.key));
  const share = (part: number) => (part === 0 ? 0 : Math.max(1, Math.round((open.length * part) / total)));
  const selection = share(chosen[1]);
  const report = share(chosen[2]);
  const dealt = new Map(
    open.map((row, i): [Pick<TaskRow, 'key'>, Split] => [
      row,
      i < report ? 'report' : i < report + selection ? 'selection' : 'train',
    ]),
  );
  return rows.map((row) => row.split ?? dealt.get(row) ?? 'train');
}

/** The named corpus file, else the one that rows name (inside the task's folder only), else the rows' own passages. */
function corpusOf(path: string, options: OpenTaskOptions, rows: TaskRow[]): TaskSource['corpus'] {
  if (options.corpus !== undefined) return { path: options.corpus };
  const named = [...new Set(rows.map((row) => row.corpus).filter((corpus) => corpus !== null))];
  if (named.length > 1) {
    throw new ParetuneError(
      'bad-data',
      `${path} names ${named.length} corpus files (${named.slice(0, 3).join(', ')}).`,
      {
        hint: 'A task has one corpus: put all documents in one file.',
      },
    );
  }
  if (named.length === 1) {
    const relative = normalize(named[0]);
    if (relative.startsWith('..') || relative.startsWith(sep) || /^[A-Za-z]:/.test(relative)) {
      throw new ParetuneError('bad-data', `${path} names the corpus ${named[0]}, which is outside its own folder.`, {
        hint: 'Put the corpus beside the task file, or name it yourself with the corpus option.',
      });
    }
    return { path: join(dirname(path), relative) };
  }
  const documents = new Map<string, CorpusDocument>();
  for (const document of rows.flatMap((row) => row.passages)) documents.set(document.title, document);
  return documents.size > 0 ? [...documents.values()] : null;
}

/** Whether a text names a file of the user's rather than a built-in task. */
export function isTaskFile(nameOrPath: string): boolean {
  return /[\\/.]/.test(nameOrPath) || existsSync(nameOrPath);
}
