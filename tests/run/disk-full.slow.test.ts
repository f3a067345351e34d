/** A disk that fills up in the middle of a run: a real, tiny file system, mounted for the test where that is allowed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import { listCheckpoints, loadCheckpoint } from '../../src-main/engine/train/checkpoint.ts';
import { tensorFiles } from '../../src-main/engine/run/load-policy.ts';
import { lastOf, runEvents, temporaryFolder, tinyConfig } from './starter.ts';

/** Why there is no tiny disk here, or undefined once it is mounted. */
function mountTinyDisk(folder: string): string | undefined {
  if (process.platform !== 'linux') return 'needs mount -t tmpfs';
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=40m', 'paretune-test', folder], { stdio: 'pipe' });
  } catch (error) {
    return `cannot mount a tiny disk: ${(error as Error).message.split('\n')[0]}`;
  }
  return undefined;
}

test('a disk that is full when a checkpoint is due ends the run, and it goes on from the one before when there is room', async (t) => {
  const folder = temporaryFolder(t);
  const reason = mountTinyDisk(folder);
  if (reason !== undefined) return t.skip(reason);
  try {
    await fillAndGoOn(t, folder);
  } finally {
    execFileSync('umount', ['--lazy', folder], { stdio: 'pipe' });
  }
});

async function fillAndGoOn(t: TestContext, folder: string): Promise<void> {
  const config = tinyConfig({ model: 'starter:under-user', tasks: ['arithmetic-calculator'], steps: 3 });
  const filler = join(folder, 'filler');
  const events: RunEvent[] = [];
  const run = runEvents(config, folder, {
    onEvent(event) {
      events.push(event);
      if (event.kind !== 'step' || event.step !== 2) return;
      const { bavail, bsize } = statfsSync(folder);
      writeFileSync(filler, Buffer.alloc(bavail * bsize - 2 ** 20));
    },
  });
  await assert.rejects(run, { code: 'disk', hint: /./, message: /checkpoint of step 2/ });
  const { checkpoint } = lastOf(events, 'checkpoint');
  assert.equal(checkpoint.step, 1);
  assert.deepEqual(
    listCheckpoints(join(folder, 'run')).map(({ step }) => step),
    [0, 1],
  );
  const path = join(folder, 'run', checkpoint.folder);
  assert.deepEqual(loadCheckpoint(path, tensorFiles).record, checkpoint);

  truncateSync(filler, 0);
  const rest = await runEvents(config, folder, { begin: { kind: 'resume', folder: path, attempt: 1 } });
  assert.equal(lastOf(rest, 'ended').status, 'finished');
  const undisturbed = await runEvents(config, temporaryFolder(t));
  assert.equal(
    lastOf(rest, 'checkpoint').checkpoint.weightsHash,
    lastOf(undisturbed, 'checkpoint').checkpoint.weightsHash,
  );
}
