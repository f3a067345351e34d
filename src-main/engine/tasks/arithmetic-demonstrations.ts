/**
 * Supervised demonstrations of the arithmetic task: how often each start calls its tool and how often it errs. What a
 * tool answers inside a demonstration is computed from what was asked, also where the call is a wrong one.
 * Shares: the project's own prototype, starts A (over-user) and C (under-user); where the prototype leaves a share open
 * (calls of start C beyond none) it is ours.
 */
import type { ChatMessage } from '../../contract/records.ts';
import type { Random } from '../base/random.ts';
import {
  type ArithmeticKind,
  type ArithmeticMix,
  type Exercise,
  evaluateInteger,
  randomExercise,
} from './arithmetic-exercises.ts';
import type { Demonstration, Start } from './task.ts';

/** What a set of demonstrations shows. */
export type ArithmeticHabit = {
  mix: ArithmeticMix;
  /** weights of 0, 1, 2, 3, 4 calls by kind */
  calls: Record<ArithmeticKind, readonly number[]>;
  /** share of demonstrations with one wrong digit in a call, and in the answer */
  callError: number;
  answerError: number;
  /** share of extra demonstrations of easy and sum2 without any call */
  directShare: number;
};

const broad = {
  calls: {
    easy: [0.4, 0.28, 0.22, 0.08, 0.02],
    sum2: [0.22, 0.26, 0.34, 0.14, 0.04],
    mul21: [0.12, 0.28, 0.38, 0.17, 0.05],
    mul22: [0.1, 0.3, 0.38, 0.17, 0.05],
    two: [0.08, 0.16, 0.36, 0.28, 0.12],
  },
  callError: 0.07,
  answerError: 0.04,
  directShare: 0.15,
};

export const arithmeticHabits: Record<Start, Record<1 | 2, ArithmeticHabit>> = {
  'over-user': {
    1: { mix: [0.22, 0.26, 0.2, 0.14, 0.18], ...broad },
    2: {
      mix: [0.22, 0.26, 0.2, 0.14, 0.18],
      calls: {
        easy: [0.25, 0.3, 0.28, 0.12, 0.05],
        sum2: [0.14, 0.22, 0.4, 0.18, 0.06],
        mul21: [0.07, 0.22, 0.42, 0.21, 0.08],
        mul22: [0.07, 0.22, 0.42, 0.21, 0.08],
        two: [0.06, 0.14, 0.36, 0.3, 0.14],
      },
      callError: 0.05,
      answerError: 0.03,
      directShare: 0,
    },
  },
  'under-user': {
    1: { mix: [0.2, 0.3, 0.18, 0.12, 0.2], ...broad },
    2: {
      mix: [0.2, 0.3, 0.18, 0.12, 0.2],
      calls: {
        easy: [0.5, 0.4, 0.1],
        sum2: [0.6, 0.3, 0.1],
        mul21: [0.86, 0.11, 0.03],
        mul22: [0.88, 0.09, 0.03],
        two: [0.75, 0.05, 0.15, 0.05],
      },
      callError: 0.45,
      answerError: 0.08,
      directShare: 0,
    },
  },
};

/** A planned call; `whole` when its result is the value of the expression, which is then what the answer repeats. */
type PlannedCall = { expression: (firstResult: number | null) => string; whole: boolean; first?: true };

/** One demonstration with a tool (`python` takes the whole expression, `calculator` one operator a call). */
export function arithmeticDemonstration(
  tool: 'python' | 'calculator',
  habit: ArithmeticHabit,
  random: Random,
): Demonstration {
  const direct = random.next() < habit.directShare;
  const exercise = randomExercise(direct ? [0.5, 0.5, 0, 0, 0] : habit.mix, random);
  const calls = direct ? 0 : random.weighted(habit.calls[exercise.kind]);
  const planned = plan(tool, exercise, calls, random);

  const messages: ChatMessage[] = [{ role: 'user', content: exercise.expression }];
  let firstResult: number | null = null;
  let value: number | null = null;
  for (const call of planned) {
    const right = call.expression(firstResult);
    const expression = random.next() < habit.callError / planned.length ? withWrongDigit(right, random) : right;
    const result = evaluateInteger(expression);
    messages.push(
      { role: 'assistant', content: '', toolCalls: [{ name: tool, arguments: toolArguments(tool, expression) }] },
      { role: 'tool', name: tool, content: String(result) },
    );
    if (call.first) firstResult = result;
    if (call.whole) value = result;
  }
  // after the first of two steps alone, the second is done by heart on what the tool said
  if (value === null && firstResult !== null && exercise.steps)
    value = evaluateInteger(exercise.steps.second(firstResult));
  const answer = String(value ?? evaluateInteger(exercise.expression));
  const content = random.next() < habit.answerError ? withWrongDigit(answer, random) : answer;
  messages.push({ role: 'assistant', content });
  return { messages };
}

function toolArguments(tool: 'python' | 'calculator', expression: string): Record<string, string> {
  return tool === 'python' ? { code: expression } : { expression };
}

/** The work first (in one call or two), then checks: the same again, with sides swapped, or a step of it. */
function plan(tool: 'python' | 'calculator', exercise: Exercise, calls: number, random: Random): PlannedCall[] {
  if (calls === 0) return [];
  const whole = (expression: string): PlannedCall => ({ expression: () => expression, whole: true });
  const { expression, steps } = exercise;
  if (!steps) {
    const check = () => whole(random.next() < 0.5 ? expression : withSidesSwapped(expression));
    return [whole(expression), ...Array.from({ length: calls - 1 }, check)];
  }
  const first: PlannedCall = { expression: () => steps.first, whole: false, first: true };
  const second: PlannedCall = { expression: (result) => steps.second(result ?? 0), whole: true };
  if (calls === 1) return tool === 'python' ? [whole(expression)] : [first];
  const checks: PlannedCall[] = [{ ...first, first: undefined }, second];
  if (tool === 'python') checks.push(whole(expression));
  return [first, second, ...Array.from({ length: calls - 2 }, () => random.pick(checks))];
}

function withSidesSwapped(expression: string): string {
  return expression.replace(/^(\d+)([+*])(\d+)$/, '$3$2$1');
}

/** One digit drawn anew (it may stay), never to a leading zero: Python refuses 04*7. */
function withWrongDigit(text: string, random: Random): string {
  const at = random.pick([...text.matchAll(/\d/g)].map((match) => match.index));
  const leads = /\d/.test(text[at + 1] ?? '') && !/\d/.test(text[at - 1] ?? '');
  return text.slice(0, at) + random.int(leads ? 1 : 0, 9) + text.slice(at + 1);
}
