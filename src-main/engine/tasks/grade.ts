/**
 * Judges an answer: true, false, or null where it could not be judged (logged as ungraded and left out of all means,
 * never a silent false). Never throws for what a model wrote.
 */
import { createContext, Script } from 'node:vm';
import { assert } from '../base/assert.ts';
import type { Grader, Json, Problem, ToolResult } from '../../contract/records.ts';
import { exactMatch } from './answer-overlap.ts';
import { mathEquivalent } from './math-equivalence.ts';

export type GradeOptions = {
  /** runs a program in the Python tool's sandbox; needed for the `python` grader only */
  runPython?: (code: string) => Promise<ToolResult>;
};

/** Whether the answer is one of the problem's accepted answers, by its grader. */
export async function grade(
  problem: Pick<Problem, 'answers' | 'grader'>,
  answer: string,
  options: GradeOptions = {},
): Promise<boolean | null> {
  const { grader, answers } = problem;
  switch (grader.kind) {
    case 'exact':
      return exactMatch(answer, answers);
    case 'math':
      return anyOf(answers, (accepted) => mathEquivalent(answer, accepted));
    case 'regex':
      return matches(grader, answer);
    case 'json':
      return answers.some((accepted) => sameFields(grader.fields, answer, accepted));
    case 'python':
      assert(options.runPython, 'a python grader needs runPython');
      return gradeByProgram(grader.code, answer, answers, options.runPython);
  }
}

/** True when one is; else null when one could not be judged. */
async function anyOf<T>(items: readonly T[], judge: (item: T) => Promise<boolean | null>): Promise<boolean | null> {
  let verdict: boolean | null = false;
  for (const item of items) {
    const same = await judge(item);
    if (same) return true;
    if (same === null) verdict = null;
  }
  return verdict;
}

const maxRegexCharacters = 4096;
const regexMilliseconds = 250;

/** vm only for its time limit, which reaches into a regular expression; the pattern is the user's own, not code. */
const regexTest = new Script('new RegExp(pattern, flags).test(text)');
const regexScope: { pattern: string; flags: string; text: string } = { pattern: '', flags: '', text: '' };
createContext(regexScope);

/** The answer's first 4,096 characters against the pattern; a backtracking explosion is ungraded. */
function matches(grader: Extract<Grader, { kind: 'regex' }>, answer: string): boolean | null {
  regexScope.pattern = grader.pattern;
  regexScope.flags = grader.flags ?? '';
  regexScope.text = answer.slice(0, maxRegexCharacters);
  try {
    return regexTest.runInContext(regexScope, { timeout: regexMilliseconds }) === true;
  } catch {
    return null;
  }
}

const maxJsonCharacters = 65_536;

/** Whether both are JSON objects (prose around the answer's is passed over) whose named fields are equal; `a.b` goes inside. */
function sameFields(fields: readonly string[], answer: string, accepted: string): boolean {
  const [given, wanted] = [objectIn(answer), objectIn(accepted)];
  if (!given || !wanted) return false;
  return fields.every((field) => {
    const [a, b] = [fieldOf(given, field), fieldOf(wanted, field)];
    return a !== undefined && b !== undefined && sameJson(a, b);
  });
}

function objectIn(text: string): Json | null {
  const [start, end] = [text.indexOf('{'), text.lastIndexOf('}')];
  if (start < 0 || end < start || text.length > maxJsonCharacters) return null;
  try {
    return JSON.parse(text.slice(start, end + 1)) as Json;
  } catch {
    return null;
  }
}

function fieldOf(value: Json, path: string): Json | undefined {
  let at: Json | undefined = value;
  for (const key of path.split('.')) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string, Json>)[key];
  }
  return at;
}

function sameJson(a: Json, b: Json): boolean {
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return a === b;
  const [first, second] = [Object.entries(a), Object.entries(b)];
  if (Array.isArray(a) !== Array.isArray(b) || first.length !== second.length) return false;
  return first.every(([key, value]) => Object.hasOwn(b, key) && sameJson(value, (b as Record<string, Json>)[key]));
}

/** The user's `grade(answer, answers) -> bool` in the sandbox; whatever else happens there is ungraded. */
async function gradeByProgram(
  code: string,
  answer: string,
  answers: readonly string[],
  runPython: (code: string) => Promise<ToolResult>,
): Promise<boolean | null> {
  const result = await runPython(graderProgram(code, answer, answers));
  if (result.status !== 'ok') return null;
  const verdict = result.output.trimEnd().split('\n').at(-1);
  if (verdict === 'grade: True') return true;
  return verdict === 'grade: False' ? false : null;
}

/** The program that is run: the user's code, then one line that prints the verdict. */
export function graderProgram(code: string, answer: string, answers: readonly string[]): string {
  // JSON inside a string literal that is valid in Python too: only ASCII, and JSON's escapes are Python's
  const literal = JSON.stringify(JSON.stringify([answer, answers])).replace(
    /[\u007f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `${code}\n\nimport json as _json\n_verdict = grade(*_json.loads(${literal}))\nprint()\nprint("grade:", _verdict if isinstance(_verdict, bool) else type(_verdict).__name__)\n`;
}
