/** A GPU's driver that hangs, or brings the engine down, costs at most the steps since the last checkpoint: the CPU goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineDeath, runToRescue } from '../../src-main/cli/engine-death.ts';
import { openSession } from '../../src-main/cli/session.ts';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';

const config = runConfigSchema.parse({ model: 'm', tasks: ['t'], provider: 'webgpu' });
const entry = new URL('./faulty-engine.ts', import.meta.url);

test('a run whose engine hangs in a step is resumed by a new engine on the CPU, without being asked', async (t) => {
  const session = openSession({ json: true, dataFolder: '/data', silenceMs: 1500, entry });
  t.after(() => session.close());
  const answer: unknown = await session.engine('tune', {} as never);
  assert.deepEqual(answer, { run: 'r7', provider: 'cpu' });
});

test('only a run that used a GPU, had a checkpoint and was not told to stop is rescued', () => {
  const died = (run: EngineDeath['run']) => runToRescue(new EngineDeath('engine', 'it hung', run, ''));
  const run = { runId: 'r1', checkpoint: 3, config };
  assert.equal(died(run), 'r1');
  assert.equal(died({ ...run, checkpoint: undefined }), null);
  assert.equal(died({ ...run, config: { ...config, provider: 'auto' } }), null);
  assert.equal(died({ ...run, config: { ...config, onProviderFailure: 'stop' } }), null);
  assert.equal(runToRescue(new ParetuneError('engine', 'it hung')), null);
});
