import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grpo } from '../../src-main/engine/advantage/grpo.ts';
import { centred } from '../../src-main/engine/advantage/scalars.ts';
import { mean, standardDeviation } from '../../src-main/engine/base/statistics.ts';
import { goldenFile, goldenMissing } from './fixtures.ts';
import { groupOf } from '../advantage/groups.ts';

type Golden = {
  advantages: {
    name: string;
    rewards: number[];
    mean: number;
    std_unbiased: number;
    std_population: number;
    centred: number[];
    scaled_unbiased_eps1e_4: number[];
    scaled_population_eps1e_8: number[];
  }[];
};

const skip = goldenMissing('grpo.json');

test("GRPO's group advantages agree with TRL", { skip }, () => {
  for (const { name, rewards, ...expected } of goldenFile<Golden>('grpo.json').advantages) {
    const close = (actual: number, wanted: number, scale = 1) =>
      assert.ok(Math.abs(actual - wanted) <= 1e-10 * scale, `${name}: ${actual}, expected ${wanted}`);
    const largest = Math.max(1, ...rewards.map(Math.abs));
    close(mean(rewards), expected.mean, largest);
    const n = rewards.length;
    const unbiased = n > 1 ? standardDeviation(rewards) : 0;
    const population = unbiased * Math.sqrt((n - 1) / n);
    close(unbiased, expected.std_unbiased, largest);
    close(population, expected.std_population, largest);
    centred(rewards).forEach((value, i) => {
      close(value, expected.centred[i], largest);
      // multiplied back: where all are equal the reference divides its own rounding error by 1e-8, ours is 0
      close(value, expected.scaled_population_eps1e_8[i] * (population + 1e-8), 1e-4 * largest);
    });
    const groups = [
      groupOf(
        name,
        rewards.map((reward) => [reward, 0.5]),
      ),
    ];
    const [advantages] = grpo.advantages({ step: 0, totalSteps: 1, weights: [0.6, 0.4], groups }, null).advantages;
    advantages.forEach((value, i) => {
      close(value, expected.scaled_unbiased_eps1e_4[i]);
    });
    assert.equal(advantages.length, rewards.length);
  }
});
