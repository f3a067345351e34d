/**
 * Tools of the user's own, in a real browser on the real engine with a real stdio MCP server: added after a dialog that
 * shows the whole command, read, approved, priced, tried, used in a run; its schema changes and it is asked again; a copy of
 * the run's settings keeps the old definition; revoked and removed. `npm run test:browser`.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import type { WindowApi } from '../../src-main/contract/window-api.ts';
import { mcpOverHttp } from '../tools/mcp-http.ts';
import { serverFile } from '../tools/mcp-server.ts';
import { type Desk, openDesk, skip, startSmallRun } from './desk.ts';

declare global {
  // the page's own, inside functions that run there
  var paretune: WindowApi;
}

const tool = 'mcp:calc/calculator';

describe("tools of the user's own", { skip, timeout: 900_000 }, () => {
  let desk: Desk;
  let page: Page;
  let log: string;
  const calls = () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []);
  const sheet = () => page.getByRole('region', { name: tool, exact: true });
  const row = () => page.getByRole('row').filter({ has: page.getByRole('button', { name: tool, exact: true }) });
  const ready = () => page.getByRole('status').filter({ hasText: 'tools work' });

  before(async () => {
    desk = await openDesk();
    ({ page } = desk);
    log = join(desk.folder, 'calls');
  });
  after(() => desk?.close());

  test('a form is reached by key, and says what is missing at its fields', async () => {
    await page.keyboard.press('Control+Shift+A');
    await page.getByRole('heading', { name: 'Add an MCP server' }).waitFor();
    await page.locator('input:focus').waitFor();
    await page.getByRole('button', { name: 'Add…', exact: true }).click();
    for (const label of ['Name', 'Program']) {
      assert.equal(await page.getByLabel(label, { exact: true }).getAttribute('aria-invalid'), 'true', label);
    }
    await desk.look('own-tools-form');
    assert.deepEqual(desk.served.asked, []);
  });

  test('after a no in the dialog, which shows the whole command, nothing was started', async () => {
    // by keyboard alone, from the field that the form begins with
    await page.getByLabel('Name', { exact: true }).focus();
    const arguments_ = [serverFile, 'Enter', 'schema', 'Enter', log];
    for (const typed of ['calc', 'Tab', 'Tab', process.execPath, 'Tab', ...arguments_, 'Tab', 'Tab', 'Enter']) {
      if (typed === 'Tab' || typed === 'Enter') await page.keyboard.press(typed);
      else await page.keyboard.insertText(typed);
    }
    await page.getByText('calc was not added.').waitFor();
    const [question] = desk.served.asked;
    assert.match(question.message, /Start this program as the MCP server calc/);
    assert.ok(question.detail.startsWith(`${process.execPath} ${serverFile} schema ${log}\n`), question.detail);
    assert.equal(existsSync(`${log}.pids`), false, 'it was not started');
  });

  test('after a yes it tells its tools, and none of them may be called', async () => {
    desk.served.answers.confirm = true;
    await page.getByRole('button', { name: 'Add…', exact: true }).click();
    await row().getByText('not approved').waitFor();
    await sheet().getByText('"maxLength": 200').waitFor();
    await page.getByText('calc offers 2 tools.', { exact: false }).waitFor();
    await desk.look('own-tools-added');
    const refused = await page.evaluate(
      (name) =>
        globalThis.paretune.call('tryTool', { name, inputs: ['6*7'] }).then(
          () => null,
          (error: { message: string }) => error.message,
        ),
      tool,
    );
    assert.match(refused ?? '', /was not approved/);
    assert.deepEqual(calls(), []);
  });

  test('approved for by hand it can be tried, and a run cannot have it', async () => {
    await sheet().getByLabel('Price of one call').fill('0.5');
    await page.keyboard.press('Enter');
    await row().getByText('approved', { exact: true }).waitFor();
    // focus is not lost with the button
    await page.locator(`[aria-label="${tool}"]:focus`).waitFor();
    await sheet().getByLabel(`Input of ${tool}`).fill('{"expression": "6*7"}');
    await sheet()
      .getByRole('button', { name: `Try ${tool}` })
      .click();
    await sheet().getByText('42', { exact: true }).waitFor();
    assert.deepEqual(calls(), ['calculator {"expression":"6*7"}']);
    await page.keyboard.press('Control+n');
    await page.getByText('not marked to run unattended').waitFor();
    assert.ok(await page.getByLabel(tool).first().isDisabled());
  });

  test('marked for training it is offered in a new run at its price, and the check before the start covers it', async () => {
    await page.keyboard.press('Control+4');
    await page.getByRole('button', { name: tool, exact: true }).click();
    await sheet().getByLabel('may run unattended in training').check();
    await sheet().getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByText(`${tool} may run, in training too.`).waitFor();
    await page.getByRole('button', { name: 'Look again: calc' }).click();
    await page.getByText(/works, 2 tools, \d+ ms/).waitFor();
    await desk.look('own-tools-approved');
    desk.served.answers.save = desk.out;
    await page.getByRole('button', { name: 'Tools of calc: CSV' }).click();
    await page.getByText('Saved', { exact: false }).waitFor();
    const [head, first] = readFileSync(join(desk.out, 'Tools of calc.csv'), 'utf8').split('\r\n');
    assert.equal(head, 'tool,state,in training,price,hash,what it says of itself');
    assert.match(first, /^mcp:calc\/calculator,approved,yes,0\.5,[0-9a-f]{12},Computes one operation\.$/);

    await page.keyboard.press('Control+n');
    await page.getByRole('combobox', { name: /^Model/ }).selectOption('starter:under-user');
    for (const name of ['arithmetic', 'multi-hop']) await page.getByLabel(name, { exact: true }).uncheck();
    await page.getByLabel('arithmetic-calculator', { exact: true }).check();
    await page.getByRole('checkbox', { name: tool }).check();
    assert.equal(await page.getByRole('textbox', { name: tool }).inputValue(), '0.5');
    await ready().getByText(tool, { exact: false }).waitFor();
    await desk.look('own-tools-new-run');
  });

  test('a run calls it, at its price', async () => {
    const before = calls().length;
    await startSmallRun(page, 'own', { Steps: '2' });
    await page.getByText('finished', { exact: true }).waitFor({ timeout: 180_000 });
    assert.ok(calls().length > before, 'it was called');
    assert.equal(await page.getByLabel(`Price of one call of ${tool}`).inputValue(), '0.5');
    const { config } = await page.evaluate(() => globalThis.paretune.call('run', { run: 'own' }));
    assert.match(config.toolDefinitions[tool], /^[0-9a-f]{64}$/);
    assert.equal(config.prices[tool], 0.5);
  });

  test('another schema of the server stops it, says so, and is asked again', async () => {
    writeFileSync(`${log}.switched`, '');
    const before = calls().length;
    await page.getByRole('button', { name: 'New run with these settings' }).click();
    await page.getByText(/^pinned [0-9a-f]{8}$/).waitFor();
    await page.getByText('is not the one that was approved: it has changed.', { exact: false }).first().waitFor();
    await page.getByRole('button', { name: 'Add or approve tools of your own' }).click();
    await row().getByText('changed since approval').waitFor();
    await page.getByRole('alert').filter({ hasText: 'stopped until it is approved again' }).waitFor();
    await sheet().getByText('+         "description": "digits of the result"', { exact: false }).first().waitFor();
    await desk.look('own-tools-changed');
    assert.equal(calls().length, before, 'it was not called');
    // the price stays, but nobody has vouched for the new definition yet
    const mark = sheet().getByLabel('may run unattended in training');
    assert.equal(await mark.isChecked(), false);
    await mark.check();
    await sheet().getByRole('button', { name: 'Approve the definition as it is now' }).click();
    await row().getByText('approved', { exact: true }).waitFor();
    await row().getByRole('cell', { name: 'yes', exact: true }).waitFor();
    await row().getByRole('cell', { name: '0.5', exact: true }).waitFor();
  });

  test('a copy of the settings keeps the old definition until the tool is chosen again', async () => {
    await page.keyboard.press('Control+1');
    await page.getByRole('button', { name: 'New run with these settings' }).click();
    await page.getByText('has changed since these settings were made', { exact: false }).first().waitFor();
    await desk.look('own-tools-copy');
    const box = page.getByRole('checkbox', { name: tool });
    await box.uncheck();
    await box.check();
    await ready().getByText(tool, { exact: false }).waitFor();
    assert.equal(await page.getByText(/^pinned [0-9a-f]{8}$/).count(), 0);
  });

  test('a revoked tool does not run; a removed server is forgotten after a confirmation', async () => {
    await page.keyboard.press('Control+4');
    await page.getByRole('button', { name: tool, exact: true }).click();
    await sheet().getByRole('button', { name: 'Revoke' }).click();
    await row().getByText('not approved').waitFor();
    await page.getByRole('button', { name: 'Remove… calc' }).click();
    const dialog = page.getByRole('dialog', { name: 'Remove the server calc' });
    await dialog.waitFor();
    await desk.look('own-tools-remove');
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await row().waitFor();
    await page.getByRole('button', { name: 'Remove… calc' }).click();
    await dialog.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByText('No server was added.', { exact: false }).waitFor();
    const record = JSON.parse(readFileSync(join(desk.folder, 'data', 'tools.json'), 'utf8')) as { servers: object };
    assert.deepEqual(record.servers, {});
  });

  test('a server at an address is reached after a yes to the address', async (t) => {
    const { url, close } = await mcpOverHttp(log);
    t.after(close);
    await page.keyboard.press('Control+Shift+A');
    await page.getByLabel('Name', { exact: true }).fill('lab');
    await page.getByLabel('address', { exact: true }).check();
    await page.getByLabel('Address', { exact: true }).fill(url);
    await desk.look('own-tools-address');
    await page.getByRole('button', { name: 'Add…', exact: true }).click();
    await page.getByRole('button', { name: 'mcp:lab/calculator', exact: true }).waitFor();
    const question = desk.served.asked.at(-1);
    assert.match(question?.message ?? '', /Connect to this address as the MCP server lab/);
    assert.ok(question?.detail.startsWith(`${url}\n`));
  });

  test('nothing was asked of another host, nothing broke the security policy, no script failed', async () => {
    assert.deepEqual(await page.evaluate('window.violations'), []);
    assert.deepEqual(desk.faults, []);
  });
});
