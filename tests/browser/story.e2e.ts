/**
 * The whole story in a real browser on the real engine: first start, a run of six steps, the frontier as it moves, a
 * trajectory, a price, a second run, the comparison, the export, the engine's death. `npm run test:browser`; screenshots
 * go to test-results/browser.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { type Desk, openDesk, skip, startSmallRun } from './desk.ts';
import type { Served } from './serve.ts';

describe('the story', { skip, timeout: 1_200_000 }, () => {
  let desk: Desk;
  let served: Served;
  let page: Page;
  const look = (name: string) => desk.look(name);
  const until: Desk['until'] = (...args) => desk.until(...args);
  const run = (name: string) => page.getByRole('button', { name, exact: true });
  const points = () => page.locator('svg .point').count();

  before(async () => {
    desk = await openDesk();
    ({ served, page } = desk);
  });
  after(() => desk?.close());

  test('the first start offers one button that names the starter agent', async () => {
    await page.getByRole('button', { name: /^Tune the starter agent/ }).waitFor({ timeout: 120_000 });
    await look('first-start');
  });

  test('a form says what is wrong at the field, undoes, and starts a run', async () => {
    await page.getByRole('button', { name: 'Other settings' }).click();
    await page.getByLabel('Steps', { exact: true }).fill('0');
    assert.equal(await page.getByLabel('Steps', { exact: true }).getAttribute('aria-invalid'), 'true');
    assert.ok(await page.getByRole('button', { name: 'Start', exact: true }).isDisabled());
    await page.getByRole('button', { name: 'Undo' }).click();
    assert.equal(await page.getByLabel('Steps', { exact: true }).inputValue(), '60');
    await page.getByText('memory', { exact: false }).first().waitFor({ timeout: 60_000 });
    await look('new-run');
    await startSmallRun(page, 'first');
  });

  test('the frontier grows while the run goes on', async () => {
    await until(async () => (await points()) >= 1, 'the start policy as a point');
    await until(async () => (await points()) >= 3, 'points of later steps');
    await page.getByText('finished', { exact: true }).waitFor({ timeout: 120_000 });
    assert.ok((await points()) >= 4);
    await look('home');
  });

  test('points are reached by keyboard, and [ steps back', async () => {
    await page.keyboard.press('[');
    assert.equal(await points(), 3);
    await page.keyboard.press(']');
    assert.equal(await points(), 4);
    await page.locator('svg .point[tabindex="0"]').focus();
    await page.keyboard.press('Home');
    assert.match(await page.locator('svg .point:focus').getAttribute('aria-label').then(String), /^step 0/);
    await page.keyboard.press('End');
  });

  test('a trajectory is found, opened and walked through by keyboard alone', async () => {
    await page.getByRole('listbox', { name: 'Trajectories' }).focus();
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    const sheet = page.getByRole('dialog', { name: 'Trajectory' });
    await sheet.getByText('Conversation as sampled').waitFor();
    await sheet.getByRole('application').focus();
    await page.keyboard.press('ArrowRight');
    await sheet.getByText(/log-prob -?\d/).waitFor();
    await look('trajectory');
    await page.keyboard.press('Escape');
    await sheet.waitFor({ state: 'hidden' });
    await page.keyboard.press('/');
    await page.keyboard.type('zzzz');
    await page.getByText('No trajectory passes these filters.').waitFor();
    await page.getByRole('button', { name: 'Clear filters' }).click();
    await page.locator('[role=listbox] [role=option]').first().waitFor();
  });

  test('a problem of the step leads to its trajectories, by keyboard', async () => {
    await page.getByLabel('List', { exact: true }).selectOption({ label: 'problems' });
    const row = page.getByRole('region', { name: 'Problems' }).locator('tbody tr').first();
    await row.waitFor();
    const [, size] = String(await row.locator('td').nth(2).textContent()).split('/');
    await look('problems');
    await row.focus();
    await page.keyboard.press('Enter');
    await page.getByText(/^Only of: /).waitFor();
    const trajectories = page.locator('[role=listbox] [role=option]');
    await until(async () => (await trajectories.count()) === Number(size), 'the trajectories of one problem', 20);
    await page.getByRole('button', { name: 'All problems' }).click();
    await until(async () => (await trajectories.count()) > Number(size), 'all of the step again', 20);
  });

  test('another price moves the logged points at once', async () => {
    await page.getByLabel('Price of one call of python').fill('3');
    await page.locator('svg .ghost').first().waitFor({ timeout: 120_000 });
    await page.getByText(/At these prices the knee (stays|moves)/).waitFor();
    await look('prices');
  });

  test('a second run at these prices is compared with the first', async () => {
    await page.getByRole('button', { name: 'New run at these prices' }).click();
    assert.equal(await page.getByLabel('python', { exact: true }).last().inputValue(), '3');
    await startSmallRun(page, 'second');
    await page.getByRole('heading', { name: 'second' }).waitFor();
    await page.getByText('finished', { exact: true }).waitFor({ timeout: 120_000 });
    await page.keyboard.press('Control+5');
    await page.getByText('Difference of settings').waitFor();
    assert.ok(await page.getByRole('rowheader', { name: 'prices.python' }).isVisible());
    await page.getByText('their costs are not the same quantity', { exact: false }).waitFor();
    await look('compare');
    served.answers.save = desk.out;
    await page.getByRole('button', { name: 'Frontiers: SVG' }).click();
    await page.getByText('Saved', { exact: false }).waitFor();
    assert.match(readFileSync(join(desk.out, 'Frontiers.svg'), 'utf8'), /^<svg[\s\S]*<path/);
  });

  test('the chosen point is exported with its card', async () => {
    await page.keyboard.press('Control+k');
    await page.keyboard.type('open run first');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'first' }).waitFor();
    await page.locator('svg .point').first().waitFor();
    await page.keyboard.press('e');
    served.answers.folder = desk.out;
    await page.getByRole('button', { name: 'Choose a folder…' }).click();
    await look('export');
    await page.locator('dialog select').nth(1).selectOption({ label: 'onnxruntime-genai' });
    await page.getByRole('button', { name: 'Export', exact: true }).click();
    await page.getByText('The card in the folder holds these numbers', { exact: false }).waitFor({ timeout: 180_000 });
    const made = readdirSync(desk.out).find((name) => name.startsWith('first-'));
    assert.ok(made && existsSync(join(desk.out, made)));
    assert.ok(readdirSync(join(desk.out, made), { recursive: true }).some((file) => String(file).endsWith('.onnx')));
    await page.keyboard.press('Escape');
  });

  test('before and after answer the same message', async () => {
    await page.getByRole('button', { name: 'Chat', exact: true }).click();
    await page.getByLabel('Message').fill('7+8');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Stop answering' }).click();
    await page.getByText('Stopped. This message was not answered', { exact: false }).waitFor();
    // a tool call is seen while its answer is not: the first answer is held back until then
    const live = page.locator('dialog .live .tag');
    let held = false;
    await page.route('**/call', async (route) => {
      const response = await route.fetch();
      if (!held && route.request().postData()?.startsWith('{"name":"chat"')) {
        held = true;
        await live.first().waitFor();
      }
      await route.fulfill({ response });
    });
    await page.getByLabel('Message').fill('7+8');
    await page.keyboard.press('Enter');
    await until(async () => held, 'an answer that was held back', 60);
    await page.unrouteAll({ behavior: 'wait' });
    await until(async () => (await page.getByText(/cost [\d.]+, \d+ tokens/).count()) === 2, 'both answers', 60);
    await look('chat');
    await page.keyboard.press('Escape');
  });

  test('every other view is whole in light and dark, at 100 and 200 %', async () => {
    for (const [key, name] of [
      ['2', 'Models'],
      ['3', 'Tasks'],
      ['4', 'Tools'],
      ['6', 'Device'],
    ]) {
      await page.keyboard.press(`Control+${key}`);
      await page.getByRole('heading', { name, exact: true }).waitFor();
      await until(
        async () => (await page.getByRole('status', { name: 'Loading' }).count()) === 0,
        `${name} is read`,
        60,
      );
      await look(name.toLowerCase());
    }
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    await look('shortcuts');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await page.getByRole('dialog', { name: 'Command palette' }).waitFor();
    await look('palette');
    await page.getByRole('dialog', { name: 'Command palette' }).waitFor();
    await page.keyboard.press('Escape');
  });

  test('a deleted run can be brought back', async () => {
    await page.keyboard.press('Control+1');
    await page.getByRole('button', { name: '‹ All runs' }).click();
    await look('runs');
    await page.getByRole('button', { name: 'Delete second' }).click();
    await run('second').waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Undo' }).click();
    await run('second').waitFor();
  });

  test('all data are moved to another folder and are there again', async () => {
    await page.keyboard.press('Control+6');
    served.answers.folder = join(desk.folder, 'elsewhere');
    mkdirSync(served.answers.folder);
    await page.getByRole('button', { name: 'Move…' }).click();
    await page.getByText('All data now lies in', { exact: false }).waitFor();
    assert.deepEqual(readdirSync(served.answers.folder), ['data']);
    await page.keyboard.press('Control+1');
    await run('first').waitFor();
    await run('second').waitFor();
  });

  test('a task file that a draft of an earlier start names is said to be unknown, and chosen again', async () => {
    const file = join(desk.out, 'sums.jsonl');
    const rows = Array.from({ length: 20 }, (_, i) => JSON.stringify({ question: `${i}+1`, answer: `${i + 1}` }));
    writeFileSync(file, rows.join('\n'));
    await page.keyboard.press('Control+n');
    await page.getByText('Draft saved').waitFor();
    await page.evaluate(`(() => {
      const draft = JSON.parse(localStorage.getItem('paretune.draft'));
      localStorage.setItem('paretune.draft', JSON.stringify({ ...draft, tasks: ['handle:00000000/old.jsonl'] }));
      location.reload();
    })()`);
    await page.getByRole('heading', { name: 'Runs' }).waitFor();
    await page.keyboard.press('Control+n');
    await page.getByRole('alert').getByText('old.jsonl: The file or folder is not known any more.').waitFor();
    await look('draft-file');
    served.answers.file = file;
    await page.getByRole('button', { name: 'Choose it again…' }).click();
    await page.getByRole('checkbox', { name: 'sums.jsonl' }).waitFor();
    await page.getByText('old.jsonl').first().waitFor({ state: 'hidden' });
    assert.equal(await page.getByRole('alert').count(), 0);
  });

  test('the death of the engine is a state, and the run goes on from its last step', async () => {
    await page.keyboard.press('Control+n');
    await page.getByRole('button', { name: 'Defaults' }).click();
    await startSmallRun(page, 'third', { Steps: '60', 'Problems a step': '32' });
    await until(async () => (await points()) >= 3, 'a run with a checkpoint');
    served.killEngine();
    await page.getByText('The engine has ended.', { exact: false }).waitFor({ timeout: 20_000 });
    await look('engine-gone');
    await page.getByRole('button', { name: /^Resume from step \d+: third/ }).click();
    await page.getByText('running', { exact: true }).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('paused', { exact: true }).waitFor({ timeout: 60_000 });
    await look('paused');
    await page.getByRole('button', { name: 'Stop' }).click();
  });

  test('nothing was asked of another host, nothing broke the security policy, no script failed', async () => {
    assert.deepEqual(await page.evaluate('window.violations'), []);
    assert.deepEqual(desk.faults, []);
  });
});
