/** A GPU's driver that hangs, or brings the engine down, costs at most the steps since the last checkpoint: the CPU goes on. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { EngineDeath, type RescuedRun, runToRescue } from '../../src-main/cli/engine-death.ts';
import { openSession } from '../../src-main/cli/session.ts';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { rescueOf, withRescue } from '../../src-main/contract/rescue.ts';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';

const config = runConfigSchema.parse({ model: 'm', tasks: ['t'], provider: 'webgpu' });
/** What the faulty engine was asked for, as it answers. */
type Answer = { provider?: string; rolloutBatch?: number };

const entry = new URL('./faulty-engine.ts', import.meta.url);

const open = (t: TestContext) => {
  const session = openSession({ json: true, dataFolder: '/data', silenceMs: 1500, entry });
  t.after(() => session.close());
  return session;
};

test('a run whose engine hangs in a step is resumed by a new engine on the CPU, without being asked', async (t) => {
  const { run, provider, after } = (await open(t).engine('tune', {} as never)) as unknown as RescuedRun & Answer;
  assert.deepEqual({ run, provider }, { run: 'r7', provider: 'cpu' });
  assert.match(
    after,
    /no sign of life for 2 s and was ended.*\nThe run goes on on the CPU from its last checkpoint\.$/s,
  );
});

test('a GPU that is lost is opened anew with smaller batches until they fit, where the user chose that', async (t) => {
  const answer = (await open(t).engine('resume', { run: 'lost' })) as unknown as RescuedRun & Answer;
  assert.deepEqual([answer.run, answer.rolloutBatch, answer.provider], ['r7', 64, undefined]);
  assert.match(answer.after, /^The GPU was lost with 128 rows\.\nThe run goes on with rolloutBatch 64 and/);
});

test('a run that was asked to stop while its engine hung is not begun again', async (t) => {
  const session = open(t);
  const answer = session.engine('tune', {} as never);
  // the first Ctrl-C, which a hung engine cannot hear; SIGINT itself would end the test runner
  setTimeout(() => process.emit('SIGHUP'), 1000);
  await assert.rejects(answer, {
    code: 'engine',
    message: /no sign of life/,
    hint: /paretune resume r7 goes on from step 40/,
  });
});

test('only a run that used a GPU, had a checkpoint and was not told to stop is rescued', () => {
  const died = (run: EngineDeath['run']) => runToRescue(new EngineDeath('engine', 'it hung', run, ''))?.run ?? null;
  const run = { runId: 'r1', checkpoint: 3, config };
  assert.equal(died(run), 'r1');
  assert.equal(died({ ...run, checkpoint: undefined }), null);
  assert.equal(died({ ...run, config: { ...config, provider: 'auto' } }), null);
  assert.equal(died({ ...run, config: { ...config, onProviderFailure: 'stop' } }), null);
  assert.equal(runToRescue(new ParetuneError('engine', 'it hung')), null);
});

test('smaller batches end with the smallest that the settings allow', () => {
  let settings = { ...config, onProviderFailure: 'smaller-batch' as const };
  for (let halvings = 0; ; halvings++) {
    const rescue = rescueOf(settings);
    if (rescue === null) {
      assert.equal(halvings, 8);
      break;
    }
    settings = { ...withRescue(settings, rescue), onProviderFailure: 'smaller-batch' };
  }
  assert.deepEqual([settings.rolloutBatch, settings.train.microBatchTokens], [1, 64]);
});
