import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { replay } from '../../src-main/engine/run/replay.ts';
import { openStore } from '../../src-main/store/open-store.ts';
import { overUser, runEvents, temporaryFolder, tinyConfig } from './starter.ts';

test('the updates of a run can be computed again from the database, bit for bit', async (t) => {
  const folder = temporaryFolder(t);
  const store = openStore(folder, { mode: 'write' });
  t.after(() => store.close());
  const train = { klCoefficient: 0.02, schedule: 'cosine', warmupSteps: 1 } as const;
  const config = tinyConfig({ steps: 3, train });
  const events = await runEvents(config, folder, { onEvent: (event) => store.append(event) });
  const checkpoints = events.flatMap((event) => (event.kind === 'checkpoint' ? [event.checkpoint] : []));
  const first = checkpoints.find(({ step }) => step === 0)!;
  const logged = [1, 2, 3].map((step) => store.readStep('test', step));
  const replayed = await replay(overUser, config, join(folder, 'run', first.folder), logged, 1);
  assert.deepEqual(
    replayed.map(({ weightsHash }) => weightsHash),
    [1, 2, 3].map((step) => checkpoints.find((one) => one.step === step)!.weightsHash),
  );

  // the test can fail: one advantage less, and the weights are others
  const changed = logged.map((groups) =>
    groups.map((group) => ({
      ...group,
      trajectories: group.trajectories.map((one, i) => (i === 0 ? { ...one, advantage: one.advantage + 0.5 } : one)),
    })),
  );
  const others = await replay(overUser, config, join(folder, 'run', first.folder), changed, 1);
  assert.notEqual(others[0].weightsHash, replayed[0].weightsHash);
});
