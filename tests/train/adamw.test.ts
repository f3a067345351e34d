/** What adamw.json (tests/golden) does not hold: ranges of decay, clipping at its edge, schedules. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { adamwState, adamwUpdate, clipFactor, norm2, scheduledRate } from '../../src-main/engine/train/adamw.ts';

const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.5, learningRate: 0.1, scale: 1 };

describe('adamwUpdate', () => {
  test('decays the given ranges only', () => {
    const parameters = Float64Array.of(1, 1, 1, 1);
    adamwUpdate(parameters, [0, 0, 0, 0], adamwState(4), {
      ...settings,
      decayed: [
        [0, 1],
        [2, 3],
      ],
    });
    assert.deepEqual([...parameters], [0.95, 1, 0.95, 1]);
  });

  test('takes a first step of the learning rate against the sign, whatever the scale of the gradient', () => {
    for (const size of [1e-3, 1, 1e6]) {
      const parameters = Float64Array.of(0, 0);
      adamwUpdate(parameters, [size, -size], adamwState(2), { ...settings, decayed: [] });
      assert.ok(Math.abs(parameters[0] + 0.1) < 1e-5 && Math.abs(parameters[1] - 0.1) < 1e-5);
    }
  });
});

describe('clipFactor', () => {
  test('brings a norm to the limit, leaves a smaller one alone, and 0 means no limit', () => {
    assert.equal(norm2([3, 4]), 5);
    assert.ok(Math.abs(clipFactor(5, 1) * 5 - 1) < 1e-6);
    assert.equal(clipFactor(0.5, 1), 1);
    assert.equal(clipFactor(1e9, 0), 1);
  });
});

describe('scheduledRate', () => {
  const rate = (schedule: 'constant' | 'cosine', update: number) =>
    scheduledRate({ learningRate: 2, warmupSteps: 4, schedule }, update, 14);

  test('warms up linearly to the full rate', () => {
    assert.deepEqual(
      [0, 1, 2, 3, 4, 13].map((update) => rate('constant', update)),
      [0.5, 1, 1.5, 2, 2, 2],
    );
  });

  test('falls as a cosine to nearly zero at the last update, and never rises again', () => {
    const rates = Array.from({ length: 11 }, (_, i) => rate('cosine', 4 + i));
    assert.equal(rates[0], 2);
    assert.ok(Math.abs(rates[5] - 1) < 1e-12);
    assert.ok(rates.every((value, i) => i === 0 || value < rates[i - 1]));
    assert.ok(rates[9] < 0.05 && rates[10] < 1e-12);
    assert.ok(rate('cosine', 99) < 1e-12);
  });
});
