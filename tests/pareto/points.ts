/** Random points for the property tests: few distinct values, so that ties, duplicates and border points are common. */
import fc from 'fast-check';

const coordinate = fc.oneof(
  fc.integer({ min: -1, max: 4 }).map((n) => n / 4),
  fc.double({ min: -0.2, max: 1, noNaN: true }),
);

/** Up to `most` points of one dimension each time, M from 1 to 5. */
export function pointSets(most: number, objectives: { min: number; max: number } = { min: 1, max: 5 }) {
  return fc
    .integer(objectives)
    .chain((m) => fc.array(fc.array(coordinate, { minLength: m, maxLength: m }), { minLength: 1, maxLength: most }));
}

/** Reference point 0 in as many objectives as the points have. */
export const origin = (points: number[][]): number[] => points[0].map(() => 0);
