/** A run with three objectives in a real browser on the real engine: asked for in the form, measured, its frontier seen and walked. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Desk, openDesk, skip, startSmallRun } from './desk.ts';

describe('three objectives', { skip, timeout: 600_000 }, () => {
  let desk: Desk;
  before(async () => {
    desk = await openDesk();
  });
  after(() => desk?.close());

  test('the form takes the third, and the run shows it beside the others with axes to pick', async () => {
    const { page } = desk;
    await page.getByRole('button', { name: /^Tune the starter agent/ }).waitFor({ timeout: 120_000 });
    await page.getByRole('button', { name: 'Other settings' }).click();
    await page.getByRole('checkbox', { name: 'shorter answers' }).check();
    await startSmallRun(page, 'three');
    await page.getByText('finished', { exact: true }).waitFor({ timeout: 240_000 });

    const scatter = page.getByRole('region', { name: 'Three objectives' });
    const side = page.getByRole('region', { name: 'Objectives side by side' });
    const policies = scatter.locator('svg .policy');
    await desk.until(async () => (await policies.count()) === 4, 'four measured policies');
    assert.equal(await side.locator('path.policy-line:not([d=""])').count(), 4);
    assert.ok((await side.locator('path.policy-line.on').count()) >= 1);
    assert.match(
      String(await policies.first().getAttribute('aria-label')),
      /^step 0: success .* %, cost [\d.]+, length [\d.]+, /,
    );

    const places = () =>
      policies.evaluateAll((nodes) => nodes.map((node) => node.querySelector('.reach')!.getAttribute('cx')));
    const byLength = await places();
    await scatter.getByLabel('Across').selectOption('cost');
    assert.notDeepEqual(await places(), byLength);
    await scatter.getByLabel('Across').selectOption('length');
    assert.deepEqual(await places(), byLength);

    await scatter.locator('svg .policy[tabindex="0"]').focus();
    await page.keyboard.press('Home');
    assert.match(String(await scatter.locator('svg .policy:focus').getAttribute('aria-label')), /^step 0/);
    assert.equal(
      await page
        .locator('svg .point[aria-pressed="true"]')
        .getAttribute('aria-label')
        .then((text) => text?.slice(0, 6)),
      'step 0',
    );
    await page.keyboard.press('End');
    assert.equal(await side.locator('path.policy-line.selected').count(), 1);
    await desk.look('three-objectives');
    assert.deepEqual(desk.faults, []);
  });
});
