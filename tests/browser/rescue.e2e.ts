/** A GPU's driver that hangs in the middle of a run that the window watches: the run goes on by itself as the user chose, and says so. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Desk, openDesk, skip, startSmallRun } from './desk.ts';

describe('a driver that hangs', { skip, timeout: 600_000 }, () => {
  let desk: Desk;
  before(async () => {
    // long enough for an engine that starts on a busy machine
    desk = await openDesk({ entry: join(import.meta.dirname, 'hanging-driver.ts'), engineSilenceMs: 40_000 });
  });
  after(() => desk?.close());

  test('the run goes on on the CPU without a click, with a notice, and ends', async () => {
    const { page } = desk;
    await page.getByRole('button', { name: /^Tune the starter agent/ }).waitFor({ timeout: 120_000 });
    const settings = join(desk.folder, 'gpu.yaml');
    writeFileSync(settings, 'provider: webgpu\nonProviderFailure: cpu\ncheckpoint: { everySteps: 1 }\n');
    await desk.drop(settings);
    await startSmallRun(page, 'hung');
    const notice = /gave no sign of life for \d+ s and was ended\. The run goes on on the CPU from step [1-5]; /;
    await page.getByText(notice).first().waitFor({ timeout: 240_000 });
    await desk.look('rescued');
    await page.getByText('finished', { exact: true }).waitFor({ timeout: 240_000 });
    assert.equal(await page.getByText('The engine has ended.').count(), 0);
    assert.deepEqual(desk.faults, []);
  });
});
