/**
 * Built-in task: small integer arithmetic of mixed difficulty. Easy facts (digit + or x digit) are meant to be known by
 * heart, the rest is easier with a tool. Two forms: `arithmetic` brings `python`, where one call may hold the whole
 * expression; `arithmetic-calculator` brings `calculator`, one operator a call, so that `two` needs two calls.
 *
 * Graded as mathematics, not by exact match, whose normalization deletes the minus sign.
 */
import type { Problem, Split } from '../../contract/records.ts';
import { randomStream } from '../base/random.ts';
import { arithmeticDemonstration, arithmeticHabits } from './arithmetic-demonstrations.ts';
import { type ArithmeticMix, drawExercises, type Exercise, evaluateInteger } from './arithmetic-exercises.ts';
import type { TaskSource } from './task.ts';

const mixes: Record<'python' | 'calculator', ArithmeticMix> = {
  python: [0.22, 0.26, 0.2, 0.14, 0.18],
  calculator: [0.2, 0.3, 0.18, 0.12, 0.2],
};

/**
 * The task with one of its tools. Kinds are finite (easy 200 in all, mul21 about 72 in selection and in report), so in
 * a large draw other kinds take their place: compare success by tag.
 */
export function arithmeticTask(tool: 'python' | 'calculator'): TaskSource {
  const name = tool === 'python' ? 'arithmetic' : 'arithmetic-calculator';
  const toProblem = (exercise: Exercise, split: Split): Problem => ({
    id: exercise.expression,
    task: name,
    split,
    messages: [{ role: 'user', content: exercise.expression }],
    tools: [tool],
    answers: [String(evaluateInteger(exercise.expression))],
    grader: { kind: 'math' },
    tags: [exercise.kind],
    // demonstrations are drawn from all of train, so any train problem may have been one
    unseen: exercise.kind !== 'easy' && split !== 'train',
  });
  return {
    name,
    tools: [tool],
    corpus: null,
    problems(split, count, seed) {
      const exercises = drawExercises(split, count, mixes[tool], (part) => randomStream(seed, name, split, part));
      return exercises.map((exercise) => toProblem(exercise, split));
    },
    demonstrations(count, seed, { start, phase }) {
      const random = randomStream(seed, name, 'demonstrations', start, phase);
      const habit = arithmeticHabits[start][phase];
      return Array.from({ length: count }, () => arithmeticDemonstration(tool, habit, random));
    },
  };
}
