import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { insertAll } from '../../src-main/engine/pareto/archive.ts';
import { covers } from '../../src-main/engine/pareto/dominance.ts';
import { hypervolume, hypervolumeContributions, hypervolumeGain } from '../../src-main/engine/pareto/hypervolume.ts';
import { origin, pointSets } from './points.ts';

const near = (a: number, b: number) => Math.abs(a - b) <= 1e-12;

/** Sum over all subsets of the boxes of their minima, with alternating sign: slow, and nothing like the code under test. */
function inclusionExclusion(points: number[][]): number {
  let sum = 0;
  for (let subset = 1; subset < 2 ** points.length; subset++) {
    const chosen = points.filter((_, i) => subset & (1 << i));
    const sides = chosen[0].map((_, k) => Math.max(0, Math.min(...chosen.map((point) => point[k]))));
    sum += (chosen.length % 2 ? 1 : -1) * sides.reduce((product, side) => product * side, 1);
  }
  return sum;
}

test('hypervolume equals inclusion and exclusion of boxes in 1 to 6 objectives', () => {
  fc.assert(
    fc.property(pointSets(7, { min: 1, max: 6 }), (points) => {
      const [actual, expected] = [hypervolume(points, origin(points)), inclusionExclusion(points)];
      assert.ok(near(actual, expected), `${actual}, expected ${expected}`);
    }),
    { numRuns: 300 },
  );
});

test('hypervolume of points on a grid is the number of cells that they cover: many ties, dominated points, duplicates', () => {
  const side = 4;
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 5 }).chain((m) => {
        const level = fc.integer({ min: 1, max: side });
        return fc.array(fc.array(level, { minLength: m, maxLength: m }), { minLength: 1, maxLength: 60 });
      }),
      (points) => {
        const m = points[0].length;
        let cells = 0;
        for (let cell = 0; cell < side ** m; cell++) {
          const corner = Array.from({ length: m }, (_, k) => (Math.floor(cell / side ** k) % side) + 1);
          if (points.some((point) => covers(point, corner))) cells++;
        }
        assert.equal(hypervolume(points, origin(points)), cells);
      },
    ),
    { numRuns: 300 },
  );
});

test('hypervolume is the share of random darts that some point covers', () => {
  for (const objectives of [2, 3, 4, 5]) {
    const random = randomStream(1, 'darts', objectives);
    const vector = () => Array.from({ length: objectives }, () => random.next());
    const points = Array.from({ length: 30 }, vector);
    const darts = 20_000;
    let hits = 0;
    for (let dart = 0; dart < darts; dart++) {
      const at = vector();
      if (points.some((point) => covers(point, at))) hits++;
    }
    const share = hits / darts;
    const deviation = Math.sqrt((share * (1 - share)) / darts);
    assert.ok(Math.abs(hypervolume(points, vector().fill(0)) - share) < 4 * deviation, `${objectives} objectives`);
  }
});

test('a gain is the difference of two hypervolumes, never negative, and exactly 0 for a covered point', () => {
  fc.assert(
    fc.property(pointSets(8), (points) => {
      const [point, ...others] = points;
      const reference = origin(points);
      const gain = hypervolumeGain(others, reference, point);
      assert.ok(gain >= 0);
      assert.ok(near(gain, hypervolume(points, reference) - hypervolume(others, reference)));
      if (others.some((other) => covers(other, point))) assert.equal(gain, 0);
      assert.equal(hypervolumeGain(points, reference, point), 0);
    }),
  );
});

test('improving any point never lowers the hypervolume, and the order of the points does not matter', () => {
  fc.assert(
    fc.property(pointSets(8), fc.nat(), fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), (points, i, k, more) => {
      const reference = origin(points);
      const before = hypervolume(points, reference);
      const better = points.map((point) => [...point]);
      better[i % points.length][k % reference.length] += more;
      assert.ok(hypervolume(better, reference) >= before - 1e-12);
      assert.ok(near(hypervolume([...points].reverse(), reference), before));
    }),
  );
});

test('an archive has the hypervolume of everything that went into it, and no member covers another', () => {
  fc.assert(
    fc.property(pointSets(10), (points) => {
      const archive = insertAll([], points);
      const reference = origin(points);
      assert.ok(near(hypervolume(archive, reference), hypervolume(points, reference)));
      archive.forEach((a, i) => {
        archive.forEach((b, j) => {
          assert.ok(i === j || !covers(a, b));
        });
      });
      assert.deepEqual(insertAll(archive, points), archive);
    }),
  );
});

test('an archive is plain data and is not changed by what comes after it', () => {
  const first = insertAll([], [[0.5, 0.5]]);
  const second = insertAll(first, [[0.9, 0.9]]);
  assert.deepEqual(first, [[0.5, 0.5]]);
  assert.deepEqual(JSON.parse(JSON.stringify(second)), [[0.9, 0.9]]);
  assert.throws(() => insertAll(second, [[Number.NaN, 1]]), /cannot archive/);
});

test('points below the reference on one axis add nothing and break nothing', () => {
  assert.equal(hypervolume([[2, -1]], [0, 0]), 0);
  assert.equal(hypervolume([[2, 0]], [0, 0]), 0);
  assert.equal(
    hypervolume(
      [
        [1, 1],
        [5, -3],
      ],
      [0, 0],
    ),
    1,
  );
  assert.deepEqual(
    hypervolumeContributions(
      [
        [1, 1],
        [1, 1],
        [2, 0.5],
      ],
      [0, 0],
    ),
    [0, 0, 0.5],
  );
});

test('ten thousand points in 2 and 3 objectives and a thousand in 4 and 5 take well under two seconds each', () => {
  const random = randomStream(2, 'speed');
  for (const [objectives, n] of [
    [2, 10_000],
    [3, 10_000],
    [4, 1000],
    [5, 1000],
  ]) {
    // on the unit sphere nothing dominates anything
    const points = Array.from({ length: n }, () => {
      const vector = Array.from({ length: objectives }, () => Math.abs(random.normal()));
      const length = Math.hypot(...vector);
      return vector.map((value) => value / length);
    });
    const start = performance.now();
    assert.ok(hypervolume(points, origin(points)) < 1);
    const milliseconds = performance.now() - start;
    assert.ok(milliseconds < 2000, `${objectives} objectives: ${milliseconds} ms`);
  }
});
