/**
 * What one row of a task file means, by its columns. The four shapes:
 *   chat      `prompt` (text or messages), `messages` or `question`, with `answer` or `answers`; optional `tools`, `grader`,
 *             `corpus`, `split`, `id`
 *   GSM8K     `question` and an `answer` that ends in `#### N`               (openai/grade-school-math)
 *   SVAMP     `Body`, `Question`, `Answer`                                   (arkilpatel/SVAMP)
 *   HotpotQA  `question`, `answer` and `context` as [title, sentences] pairs (hotpotqa.github.io)
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { ChatMessage, Grader, Json, Split } from '../../contract/records.ts';
import { describe, type JsonObject, type Reading } from './bounded-json.ts';
import { readMessages } from './chat-rows.ts';
import type { CorpusDocument } from './task.ts';

/** A row that can be used. `key` is the same for the same question; `split` and `corpus` are null where none is named. */
export type TaskRow = {
  id: string;
  key: string;
  split: Split | null;
  messages: ChatMessage[];
  answers: string[];
  grader: Grader;
  tools: string[];
  tags: string[];
  corpus: string | null;
  passages: CorpusDocument[];
};

export const rowHint =
  'Each row needs `prompt` or `messages` and `answer` or `answers`, or the columns of GSM8K (question, answer with ####), ' +
  'SVAMP (Body, Question, Answer) or HotpotQA (question, answer, context).';

const safeRegex = z
  .strictObject({
    kind: z.literal('regex'),
    pattern: z.string().min(1).max(1000),
    flags: z
      .string()
      .regex(/^[imsu]*$/, 'flags may be i, m, s, u')
      .optional(),
  })
  .refine(({ pattern, flags }) => compiles(pattern, flags), { message: 'pattern is not a regular expression' });

/** How an answer may be judged, as files and settings write it. */
export const graderSchema = z.union([
  z.strictObject({ kind: z.literal('exact') }),
  z.strictObject({ kind: z.literal('math') }),
  safeRegex,
  z.strictObject({ kind: z.literal('json'), fields: z.array(z.string().min(1)).min(1).max(100) }),
  z.strictObject({ kind: z.literal('python'), code: z.string().min(1).max(65_536) }),
]);

function compiles(pattern: string, flags?: string): boolean {
  try {
    new RegExp(pattern, flags);
    return true;
  } catch {
    return false;
  }
}

const splitNames: Record<string, Split> = {
  train: 'train',
  selection: 'selection',
  validation: 'selection',
  valid: 'selection',
  dev: 'selection',
  report: 'report',
  test: 'report',
};

type Asked = Pick<TaskRow, 'messages' | 'answers' | 'grader' | 'tools' | 'tags' | 'passages'>;

/** A row of any shape. */
export function readTaskRow(row: JsonObject): Reading<TaskRow> {
  const asked = readAsked(row);
  if ('complaint' in asked) return asked;
  const { split, corpus = null } = row;
  if (split !== undefined && !(typeof split === 'string' && Object.hasOwn(splitNames, split))) {
    return { complaint: `\`split\` is ${describe(split)}, not one of ${Object.keys(splitNames).join(', ')}` };
  }
  if (corpus !== null && typeof corpus !== 'string')
    return { complaint: `\`corpus\` is ${describe(corpus)}, not a path` };
  const key = JSON.stringify(asked.value.messages);
  const id = createHash('sha256').update(key).digest('hex').slice(0, 16);
  return { value: { ...asked.value, id, key, split: split === undefined ? null : splitNames[split], corpus } };
}

function readAsked(row: JsonObject): Reading<Asked> {
  const has = (...columns: string[]) => columns.every((column) => row[column] !== undefined);
  if (has('Body', 'Question', 'Answer')) return readSvamp(row);
  if (has('question', 'answer', 'context')) return readHotpot(row);
  if (has('question', 'answer') && typeof row.answer === 'string' && row.answer.includes('####')) return readGsm8k(row);
  return readChat(row);
}

function readChat(row: JsonObject): Reading<Asked> {
  const prompt = row.messages ?? row.prompt ?? row.question;
  const read: Reading<ChatMessage[]> =
    typeof prompt === 'string' ? { value: [{ role: 'user', content: prompt }] } : readMessages(prompt);
  if (prompt === undefined) return { complaint: `no \`prompt\` and no \`messages\`, but ${columnsOf(row)}` };
  if ('complaint' in read) return read;
  const messages = read.value;
  if (messages[messages.length - 1].role !== 'user') {
    return { complaint: 'the last message must be the user’s, so that the agent answers it' };
  }
  if (messages.some((message) => message.content.trim() === '' && message.role === 'user')) {
    return { complaint: 'a question is empty' };
  }
  const answers = readAnswers(row);
  if ('complaint' in answers) return answers;
  const tools = readToolNames(row.tools);
  if ('complaint' in tools) return tools;
  const grader = readGrader(row.grader, answers.value);
  if ('complaint' in grader) return grader;
  return {
    value: { messages, answers: answers.value, grader: grader.value, tools: tools.value, tags: [], passages: [] },
  };
}

const columnsOf = (row: JsonObject) => `the columns ${Object.keys(row).slice(0, 8).join(', ') || '(none)'}`;

function readAnswers(row: JsonObject): Reading<string[]> {
  const given = row.answers ?? row.answer;
  if (given === undefined) return { complaint: `no \`answer\` and no \`answers\`, but ${columnsOf(row)}` };
  const list = Array.isArray(given) ? given : [given];
  if (list.length === 0) return { complaint: 'no accepted answer: the list is empty' };
  if (list.includes(null)) return { complaint: 'an answer is null' };
  return { value: list.map((answer) => (typeof answer === 'string' ? answer : JSON.stringify(answer))) };
}

function readGrader(given: Json | undefined, answers: string[]): Reading<Grader> {
  // exact match deletes points and signs, so numbers are compared as numbers
  const numbers = answers.every((answer) => /^\s*[-+]?[\d,]*\.?\d+\s*$/.test(answer));
  if (given === undefined) return { value: { kind: numbers ? 'math' : 'exact' } };
  const parsed = graderSchema.safeParse(typeof given === 'string' ? { kind: given } : given);
  if (parsed.success) return { value: parsed.data };
  return {
    complaint: `\`grader\` is ${describe(given)}; it must be exact, math, {kind: "regex", pattern}, {kind: "json", fields} or {kind: "python", code}`,
  };
}

/** Names, or the tools themselves as chat files carry them (a list, or its JSON text). */
function readToolNames(given: Json | undefined): Reading<string[]> {
  if (given === undefined || given === null) return { value: [] };
  let list: Json = given;
  if (typeof list === 'string') {
    try {
      list = JSON.parse(list) as Json;
    } catch {
      list = [given];
    }
  }
  const names = (Array.isArray(list) ? list : [list]).map((tool) => {
    if (typeof tool === 'string') return tool;
    const spec = tool as { name?: Json; function?: { name?: Json } } | null;
    return spec?.function?.name ?? spec?.name;
  });
  const strings = names.filter((name) => typeof name === 'string');
  if (strings.length === names.length) return { value: strings };
  return { complaint: `\`tools\` is ${describe(given)}, not a list of names or of {"function": {"name"}}` };
}

function readGsm8k(row: JsonObject): Reading<Asked> {
  const answer = gsm8kAnswer(String(row.answer));
  if (answer === null) return { complaint: 'no number after the last ####' };
  if (typeof row.question !== 'string') return { complaint: `\`question\` is ${describe(row.question)}, not a text` };
  return { value: mathQuestion(row.question, answer, 'gsm8k') };
}

/** The number after `####` without its commas, or null. */
export function gsm8kAnswer(solution: string): string | null {
  return (/####\s*\$?(-?[\d.,]*\d)/.exec(solution)?.[1] ?? null)?.replaceAll(',', '') ?? null;
}

function readSvamp(row: JsonObject): Reading<Asked> {
  const { Body: body, Question: question, Answer: answer } = row;
  if (typeof body !== 'string' || typeof question !== 'string') return { complaint: 'Body or Question is not a text' };
  const value = typeof answer === 'number' || typeof answer === 'string' ? Number(answer) : Number.NaN;
  if (!Number.isFinite(value)) return { complaint: `Answer is ${describe(answer)}, not a number` };
  return { value: mathQuestion(svampQuestion(body, question), String(value), String(row.Type ?? 'svamp')) };
}

/** Body and question as one text, with the full stop that some bodies lack. */
export function svampQuestion(body: string, question: string): string {
  const told = body.trim();
  return `${told}${/[.?!,]$/.test(told) ? '' : '.'} ${question.trim()}`;
}

function mathQuestion(content: string, answer: string, tag: string): Asked {
  const messages: ChatMessage[] = [{ role: 'user', content }];
  return { messages, answers: [answer], grader: { kind: 'math' }, tools: ['python'], tags: [tag], passages: [] };
}

const contextSchema = z.array(z.tuple([z.string(), z.array(z.string())])).max(1000);

function readHotpot(row: JsonObject): Reading<Asked> {
  const { question, answer } = row;
  if (typeof question !== 'string' || typeof answer !== 'string')
    return { complaint: 'question or answer is not a text' };
  const context = contextSchema.safeParse(row.context);
  if (!context.success) {
    return { complaint: `\`context\` is ${describe(row.context)}, not a list of [title, sentences]` };
  }
  return {
    value: {
      messages: [{ role: 'user', content: question.trim() }],
      answers: [answer],
      grader: { kind: 'exact' },
      tools: ['search'],
      tags: [row.type, row.level].filter((tag) => typeof tag === 'string'),
      passages: context.data.map(([title, sentences]) => ({
        title,
        text: sentences.map((sentence) => sentence.trim()).join(' '),
      })),
    },
  };
}
