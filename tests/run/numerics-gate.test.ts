/** What a comparison with the CPU says, and when it ends a run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeReport, type NumericsReport, requireAgreement } from '../../src-main/engine/run/numerics-gate.ts';

const report = (provider: NumericsReport['provider'], difference: number): NumericsReport => ({
  provider,
  ok: difference <= 2e-4,
  checks: [{ name: 'log-probabilities', difference, tolerance: 2e-4, measure: 'largest difference, nats' }],
  fallbacks: [],
});

function withOverride<T>(value: string | undefined, work: () => T): T {
  const before = process.env.NVIDIA_TF32_OVERRIDE;
  const set = (to: string | undefined) => {
    if (to === undefined) delete process.env.NVIDIA_TF32_OVERRIDE;
    else process.env.NVIDIA_TF32_OVERRIDE = to;
  };
  set(value);
  try {
    return work();
  } finally {
    set(before);
  }
}

test('on CUDA a report says whether products are TF32, elsewhere there is none', () => {
  const say = (provider: NumericsReport['provider'], override?: string) =>
    withOverride(override, () => describeReport(report(provider, 1e-5)));
  assert.match(say('cuda'), /^cuda agrees with the CPU .*allowed 0\.0002\)\. Products are TF32/);
  assert.match(say('cuda', '0'), /Products are whole float32/);
  assert.doesNotMatch(say('webgpu'), /TF32|float32/);
});

test('a provider that computes something else ends the run, on CUDA with the way out of TF32', () => {
  requireAgreement(report('cuda', 1e-5));
  assert.throws(() => requireAgreement(report('webgpu', 1e-3)), { code: 'unsupported', hint: /^Use `--provider cpu`/ });
  assert.throws(() => requireAgreement(report('cuda', 1e-3)), {
    code: 'unsupported',
    message: /does not agree/,
    hint: /^Set NVIDIA_TF32_OVERRIDE=0/,
  });
});
