/**
 * The expressions of the arithmetic task: families of them by kind, which split each belongs to, their exact values.
 * Not the task itself (arithmetic.ts). Kinds and shares: the project's own prototype.
 */
import type { Split } from '../../contract/records.ts';
import type { Random } from '../base/random.ts';
import { drawDistinct, permutation, type SplitParts, splitOf } from './splits.ts';

export const arithmeticKinds = ['easy', 'sum2', 'mul21', 'mul22', 'two'] as const;
export type ArithmeticKind = (typeof arithmeticKinds)[number];

/** Shares of the kinds, in the order of `arithmeticKinds`. */
export type ArithmeticMix = readonly [number, number, number, number, number];

/** One expression. `steps` takes it apart for a tool of one operator; it is null where there is one operator only. */
export type Exercise = {
  kind: ArithmeticKind;
  expression: string;
  steps: { first: string; second: (firstResult: number) => string } | null;
};

/** Easy facts belong to every split; all others to one, by their expression (sides of a sum or product in order). */
const parts: SplitParts = [8, 1, 1];

function splitOfExercise(exercise: Exercise): Split | 'all' {
  if (exercise.kind === 'easy') return 'all';
  const sides = /^(\d+)([+*])(\d+)$/.exec(exercise.expression);
  const key = sides && Number(sides[1]) > Number(sides[3]) ? sides[3] + sides[2] + sides[1] : exercise.expression;
  return splitOf(key, parts);
}

/** A family of expressions: `share` of its kind, one expression for every combination of numbers (range [low, high]). */
type Form = {
  kind: ArithmeticKind;
  share: number;
  ranges: (readonly [number, number])[];
  write(numbers: number[]): { expression: string; first?: string; second?: (firstResult: number) => string };
};

const digit = [0, 9] as const;
const factor = [2, 9] as const;
const twoDigits = [10, 99] as const;

const forms: Form[] = [
  { kind: 'easy', share: 0.7, ranges: [digit, digit], write: ([a, b]) => ({ expression: `${a}+${b}` }) },
  { kind: 'easy', share: 0.3, ranges: [digit, digit], write: ([a, b]) => ({ expression: `${a}*${b}` }) },
  { kind: 'sum2', share: 0.6, ranges: [twoDigits, twoDigits], write: ([a, b]) => ({ expression: `${a}+${b}` }) },
  { kind: 'sum2', share: 0.4, ranges: [twoDigits, twoDigits], write: ([a, b]) => ({ expression: `${a}-${b}` }) },
  { kind: 'mul21', share: 1, ranges: [twoDigits, factor], write: ([a, b]) => ({ expression: `${a}*${b}` }) },
  { kind: 'mul22', share: 1, ranges: [twoDigits, twoDigits], write: ([a, b]) => ({ expression: `${a}*${b}` }) },
  {
    kind: 'two',
    share: 0.25,
    ranges: [twoDigits, factor, twoDigits],
    write: ([a, b, c]) => ({ expression: `${a}*${b}+${c}`, first: `${a}*${b}`, second: (r) => `${r}+${c}` }),
  },
  {
    kind: 'two',
    share: 0.25,
    ranges: [twoDigits, twoDigits, factor],
    write: ([a, b, c]) => ({ expression: `${a}+${b}*${c}`, first: `${b}*${c}`, second: (r) => `${a}+${r}` }),
  },
  {
    kind: 'two',
    share: 0.25,
    ranges: [twoDigits, twoDigits, twoDigits],
    write: ([a, b, c]) => ({ expression: `${a}+${b}-${c}`, first: `${a}+${b}`, second: (r) => `${r}-${c}` }),
  },
  {
    kind: 'two',
    share: 0.25,
    ranges: [twoDigits, twoDigits, factor],
    write: ([a, b, c]) => ({ expression: `(${a}+${b})*${c}`, first: `${a}+${b}`, second: (r) => `${r}*${c}` }),
  },
];

const sizeOf = (form: Form) => form.ranges.reduce((size, [low, high]) => size * (high - low + 1), 1);

/** The exercise with a number in [0, sizeOf(form)): mixed radix, the last range turns fastest. */
function exerciseAt(form: Form, index: number): Exercise {
  const numbers = new Array<number>(form.ranges.length);
  let rest = index;
  for (let i = form.ranges.length - 1; i >= 0; i--) {
    const [low, high] = form.ranges[i];
    numbers[i] = low + (rest % (high - low + 1));
    rest = Math.floor(rest / (high - low + 1));
  }
  const { expression, first, second } = form.write(numbers);
  return { kind: form.kind, expression, steps: first && second ? { first, second } : null };
}

const weightIn = (form: Form, mix: ArithmeticMix) => form.share * mix[arithmeticKinds.indexOf(form.kind)];

/** One exercise that the train split holds, by the shares of a mix. */
export function randomExercise(mix: ArithmeticMix, random: Random): Exercise {
  const form = forms[random.weighted(forms.map((candidate) => weightIn(candidate, mix)))];
  for (;;) {
    const exercise = exerciseAt(form, random.int(0, sizeOf(form) - 1));
    const split = splitOfExercise(exercise);
    if (split === 'train' || split === 'all') return exercise;
  }
}

/** Exact value of an expression of non-negative integers, + - * and parentheses; null when it is none or leaves 2^53. */
export function evaluateInteger(expression: string): number | null {
  const tokens = expression.match(/\d+|[-+*()]/g) ?? [];
  if (tokens.join('') !== expression) return null;
  let at = 0;
  const factorValue = (): number => {
    const token = tokens[at++];
    if (token !== '(') return token === undefined || !/^\d/.test(token) ? Number.NaN : Number(token);
    const value = sumValue();
    return tokens[at++] === ')' ? value : Number.NaN;
  };
  const productValue = (): number => {
    let value = factorValue();
    while (tokens[at] === '*') {
      at++;
      value *= factorValue();
    }
    return value;
  };
  const sumValue = (): number => {
    let value = productValue();
    while (tokens[at] === '+' || tokens[at] === '-') value += tokens[at++] === '+' ? productValue() : -productValue();
    return value;
  };
  const value = sumValue();
  return at === tokens.length && Number.isSafeInteger(value) ? value : null;
}

/** `count` distinct exercises of a split by the shares of a mix, or all there are. */
export function drawExercises(
  split: Split,
  count: number,
  mix: ArithmeticMix,
  streamOf: (name: string) => Random,
): Exercise[] {
  const sources = forms.map((form, i) => ({
    weight: weightIn(form, mix),
    items: exercisesOf(form, split, streamOf(`form ${i}`)),
  }));
  return drawDistinct(sources, count, streamOf('forms'));
}

function* exercisesOf(form: Form, split: Split, random: Random): Generator<Exercise, void> {
  for (const index of permutation(sizeOf(form), random)) {
    const exercise = exerciseAt(form, index);
    const own = splitOfExercise(exercise);
    if (own === split || own === 'all') yield exercise;
  }
}
