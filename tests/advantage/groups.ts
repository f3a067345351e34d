/** Groups of reward vectors as scoring makes them: success 0 or 1, efficiencies on the curve exp(-k / 2), many ties. */
import fc from 'fast-check';
import type { AdvantageInput, ScoredGroup } from '../../src-main/engine/advantage/method.ts';

/** A group from its reward vectors: success is the first objective, costs are those of alpha 0.5, lengths 10, 11, 12, ... */
export function groupOf(problemId: string, rewards: number[][]): ScoredGroup {
  const solved = rewards.some(([success]) => success === 1);
  return {
    problemId,
    rewards,
    successes: rewards.map(([success]) => success),
    costs: rewards.map(([, tool]) => (tool > 0 ? -2 * Math.log(tool) : 4)),
    fewestCost: solved ? 0 : null,
    tokens: rewards.map((_, i) => 10 + i),
  };
}

/** The input of one step of ten, with the paper's weights unless said. */
export function inputOf(groups: ScoredGroup[], changes: Partial<AdvantageInput> = {}): AdvantageInput {
  return { step: 0, totalSteps: 10, weights: [0.6, 0.4], groups, ...changes };
}

const efficiency = fc.oneof(
  fc.nat(5).map((k) => Math.exp(-k / 2)),
  fc.double({ min: 0, max: 1, noNaN: true }),
);

/** One group's reward vectors [G][M] with weights [M], M from 1 to 4. */
export const weightedGroups = fc.integer({ min: 1, max: 4 }).chain((objectives) =>
  fc.record({
    rewards: fc.array(
      fc
        .tuple(
          fc.integer({ min: 0, max: 1 }),
          fc.array(efficiency, { minLength: objectives - 1, maxLength: objectives - 1 }),
        )
        .map(([success, rest]) => [success, ...rest]),
      { minLength: 1, maxLength: 10 },
    ),
    weights: fc
      .array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: objectives, maxLength: objectives })
      .map((weights) => weights.map((weight) => weight / weights.reduce((sum, one) => sum + one, 0))),
  }),
);

/** A mixed group of each kind that a step has: cheap and dear, right and wrong, all right, all wrong. */
export const mixedStep: ScoredGroup[] = [
  groupOf('mixed', [
    [1, 0.6],
    [1, 1],
    [0, 1],
    [0, 0.4],
    [1, 0.4],
  ]),
  groupOf('all right', [
    [1, 1],
    [1, 0.6],
    [1, 0.6],
  ]),
  groupOf('all wrong', [
    [0, 0],
    [0, 0],
    [0, 0],
  ]),
  groupOf('one front', [
    [0, 1],
    [1, 0.5],
    [1, 0.5],
    [0, 1],
  ]),
];
