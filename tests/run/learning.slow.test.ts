/** That training teaches: the agent that hardly calls its tool, and mostly fails, learns to call it within 25 small steps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runEvents, temporaryFolder, tinyConfig } from './starter.ts';

test('25 steps of hvg teach the under-user to call the calculator: success rises by far more than chance', async (t) => {
  const config = tinyConfig({
    model: 'starter:under-user',
    tasks: ['arithmetic-calculator'],
    method: 'hvg',
    steps: 25,
    problemsPerStep: 16,
    groupSize: 8,
    trainProblems: 512,
    selectionProblems: 256,
    evaluation: { everySteps: 25, greedy: false },
    checkpoint: { everySteps: 25 },
  });
  const events = await runEvents(config, temporaryFolder(t));
  const [before, after] = events.flatMap((event) =>
    event.kind === 'evaluated' && event.point.split === 'selection' ? [event.point] : [],
  );
  t.diagnostic(
    `success ${before.success.toFixed(2)} -> ${after.success.toFixed(2)}, calls ${before.calls.toFixed(2)} -> ${after.calls.toFixed(2)}`,
  );
  assert.deepEqual([before.step, after.step, after.n], [0, 25, 256]);
  // measured with seeds 0 and 1: 0.19 -> 0.77 and 0.27 -> 0.79
  assert.ok(after.success > before.success + 0.3, `${before.success} -> ${after.success}`);
  assert.ok(after.calls > before.calls + 0.3, 'by calling');
  assert.ok(after.klToStart !== null && after.klToStart > 0.001, 'the policy has moved');
});
