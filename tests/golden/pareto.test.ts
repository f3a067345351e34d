import assert from 'node:assert/strict';
import { test } from 'node:test';
import { insertBy } from '../../src-main/engine/pareto/archive.ts';
import { hypervolume, hypervolumeContributions, hypervolumeGain } from '../../src-main/engine/pareto/hypervolume.ts';
import { nonDominatedSort } from '../../src-main/engine/pareto/non-dominated-sort.ts';
import { goldenFile, goldenMissing } from './fixtures.ts';

type Pareto = {
  sets: {
    name: string;
    reference: number[];
    points: number[][];
    hypervolume: number;
    contributions: number[];
    gain_of_adding: { point: number[]; gain: number }[];
    fronts: number[][];
    ranks: number[];
  }[];
  streams: {
    name: string;
    reference: number[];
    points: number[][];
    steps: {
      index: number;
      accepted: boolean;
      removed: number[];
      archive: number[];
      gain: number;
      hypervolume: number;
    }[];
  }[];
};

const skip = goldenMissing('pareto.json');
const golden: Pareto | null = skip ? null : goldenFile<Pareto>('pareto.json');

function close(actual: number, expected: number, what: string) {
  assert.ok(
    Math.abs(actual - expected) <= 1e-12 * Math.max(1, Math.abs(expected)),
    `${what}: ${actual} for ${expected}`,
  );
}

test('hypervolume, contributions and gains agree with pymoo', { skip }, () => {
  for (const { name, points, reference, ...expected } of golden!.sets) {
    close(hypervolume(points, reference), expected.hypervolume, name);
    hypervolumeContributions(points, reference).forEach((value, i) => {
      close(value, expected.contributions[i], `${name}, contribution ${i}`);
    });
    for (const { point, gain } of expected.gain_of_adding) {
      close(hypervolumeGain(points, reference, point), gain, `${name}, adding ${point}`);
    }
  }
});

test('fronts and ranks agree with pymoo', { skip }, () => {
  for (const { name, points, fronts, ranks } of golden!.sets) {
    const ours = nonDominatedSort(points);
    assert.deepEqual(ours, ranks, name);
    const byFront = fronts.map((_, f) => points.flatMap((_, i) => (ours[i] === f + 1 ? [i] : [])));
    assert.deepEqual(byFront, fronts, name);
  }
});

test('an archive takes, rejects and drops the same points as the reference', { skip }, () => {
  for (const { name, points, reference, steps } of golden!.streams) {
    let archive: readonly number[] = [];
    const vectors = () => archive.map((i) => points[i]);
    for (const step of steps) {
      const what = `${name}, point ${step.index}`;
      close(hypervolumeGain(vectors(), reference, points[step.index]), step.gain, `${what}, gain`);
      const after = insertBy(archive, step.index, (i) => points[i]);
      assert.equal(after !== archive, step.accepted, what);
      assert.deepEqual(
        archive.filter((i) => !after.includes(i)),
        step.removed,
        what,
      );
      archive = after;
      assert.deepEqual(archive, step.archive, what);
      close(hypervolume(vectors(), reference), step.hypervolume, `${what}, hypervolume`);
    }
  }
});
