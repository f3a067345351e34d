/** Counts of work and generous bounds on time; ratios and spreads are the benchmark's matter (npm run bench). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lastOf, runEvents, temporaryFolder, tinyConfig } from './starter.ts';

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];

test('a step of the starter agent: 256 short rollouts in a few seconds, logged in no time', async (t) => {
  const config = tinyConfig({
    tasks: ['arithmetic', 'multi-hop'],
    steps: 4,
    problemsPerStep: 32,
    groupSize: 8,
    trainProblems: 256,
    checkpoint: { everySteps: 4 },
  });
  const events = await runEvents(config, temporaryFolder(t));
  const step = lastOf(events, 'step');
  const all = step.groups.flatMap((group) => group.trajectories);
  assert.equal(all.length, 256);
  assert.ok(median(all.map((one) => one.tokens.length)) <= 80, 'the median trajectory has at most 80 tokens');
  const times = events.flatMap((event) => (event.kind === 'step' ? [event.metrics.stepMs] : []));
  t.diagnostic(`median step ${median(times).toFixed(0)} ms on one thread`);
  assert.ok(median(times) < 20_000, `a step took ${median(times)} ms`);
});
