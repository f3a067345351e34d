/**
 * The whole story by keyboard alone: first start, form, run, points, trajectories, prices, export, chat, every view, the table
 * of runs. No mouse and no focus set by the test: after each key something has the focus, it is drawn, in sight, and not
 * under something else. Files are chosen through the dialogs of the system, which the test answers.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { type Desk, openDesk, skip } from './desk.ts';

type Focus = {
  nothing: boolean;
  name: string;
  role: string;
  inSight: boolean;
  drawn: boolean;
  what: string;
  under: string;
};

/** What has the focus once the key has done its work: a few frames later. */
const focusNow = `(async () => {
  for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
  await new Promise((done) => setTimeout(done));
  const e = document.activeElement;
  const textOf = (node) => { const copy = node.cloneNode(true); copy.querySelectorAll('select, input, textarea').forEach((part) => part.remove()); return copy.textContent.trim(); };
  const labelledBy = e.getAttribute('aria-labelledby');
  const name = e.getAttribute('aria-label') ?? (labelledBy && document.getElementById(labelledBy)?.textContent.trim())
    ?? (e.labels?.[0] && textOf(e.labels[0])) ?? (e.textContent.trim() || e.getAttribute('placeholder') || '');
  const box = e.getBoundingClientRect();
  const left = Math.max(box.left, 0), right = Math.min(box.right, innerWidth), top = Math.max(box.top, 0), bottom = Math.min(box.bottom, innerHeight);
  const places = [[0.5, 0.5], [0.02, 0.5], [0.98, 0.5], [0.5, 0.05], [0.5, 0.95]].map(([x, y]) => [left + (right - left) * x, top + (bottom - top) * y]);
  const inSight = right > left && bottom > top && places.some(([x, y]) => { const hit = document.elementFromPoint(x, y); return hit && (e.contains(hit) || e.labels?.[0]?.contains(hit)); });
  const style = getComputedStyle(e);
  const reach = e.querySelector(':scope > .reach');
  const drawn = e.matches(':focus-visible') && ((style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0)
    || (reach !== null && getComputedStyle(reach).stroke !== 'none'));
  return { nothing: e === document.body, name, role: e.getAttribute('role') ?? e.tagName.toLowerCase(), inSight, drawn,
    under: inSight ? '' : JSON.stringify(box) + ' ' + places.map(([x, y]) => document.elementFromPoint(x, y)).map((hit) => hit ? hit.tagName + '.' + hit.getAttribute('class') : 'nothing').join(', '),
    what: e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + '.' + (e.getAttribute('class') ?? '') + ' "' + name.slice(0, 40) + '"' };
})()`;

const starter = resolve(import.meta.dirname, '../../resources/starter/under-user');

describe('by keyboard alone', { skip, timeout: 900_000 }, () => {
  let desk: Desk;
  let page: Page;

  before(async () => {
    desk = await openDesk();
    ({ page } = desk);
    await page.getByRole('button', { name: /^Tune the starter agent/ }).waitFor();
  });
  after(() => desk?.close());

  /** What is drawn anew takes the focus a frame after what had it is gone (keep-focus.ts): only then it is lost. */
  async function focus(): Promise<Focus> {
    const now = await page.evaluate<Focus>(focusNow);
    if (!now.nothing) return now;
    const frame = 'new Promise((done) => requestAnimationFrame(() => setTimeout(done)))';
    await page.evaluate(`${frame}.then(() => ${frame})`);
    return page.evaluate<Focus>(focusNow);
  }
  async function look(after: string): Promise<Focus> {
    const now = await focus();
    assert.ok(!now.nothing, `the focus is lost after ${after}`);
    assert.ok(now.drawn, `the focus is not drawn after ${after}: ${now.what}`);
    assert.ok(now.inSight, `what has the focus is out of sight after ${after}: ${now.what}, under ${now.under}`);
    return now;
  }
  async function press(...keys: string[]): Promise<Focus> {
    let now: Focus | undefined;
    for (const key of keys) {
      await page.keyboard.press(key);
      now = await look(key);
    }
    return now!;
  }
  /** Tabs until what is called so has the focus; past the last element the browser's own bars come, once. */
  async function tabTo(name: string | RegExp, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<Focus> {
    const passed: string[] = [];
    for (let i = 0, ends = 0; i < 150; i++) {
      await page.keyboard.press(key);
      const now = await focus();
      if (now.nothing && ends++ < 1) continue;
      await look(`${key} after ${passed.at(-1)}`);
      if (typeof name === 'string' ? now.name === name : name.test(now.name)) return now;
      passed.push(now.what);
    }
    assert.fail(`${name} is not reached: ${passed.join(', ')}`);
  }
  /** Replaces what the field holds. */
  async function type(text: string): Promise<void> {
    await press('Control+a');
    await page.keyboard.type(text);
  }
  async function fill(name: string | RegExp, text: string): Promise<void> {
    await tabTo(name);
    await type(text);
  }
  async function view(key: string, title: string): Promise<void> {
    await press(`Control+${key}`);
    await page.getByRole('heading', { name: title, exact: true, level: 1 }).waitFor();
    await page.locator('main [role=status][aria-label=Loading]').first().waitFor({ state: 'detached' });
    await look(`Control+${key}`);
  }

  test('the first start: a link past the rail, and the form behind Other settings', async () => {
    assert.equal((await press('Tab')).name, 'Skip to the content');
    assert.equal((await press('Enter')).what.split('.')[0], 'main#content');
    assert.match((await press('Tab')).name, /^Tune the starter agent/);
    await tabTo('Other settings', 'Tab');
    await press('Enter');
    await page.getByRole('form', { name: 'New run' }).waitFor();
  });

  test('a form is filled, an error is told at its field, undone and started with Enter', async () => {
    await tabTo('Model');
    await press('ArrowDown');
    await press('ArrowUp');
    await tabTo('Method');
    await press('ArrowUp', 'ArrowUp');
    assert.equal(await page.getByRole('combobox', { name: 'Method' }).inputValue(), 'paretopo', 'which reads weights');
    await fill('Name (empty: one is made)', 'first');
    await fill('Steps', '0');
    assert.equal(await page.getByLabel('Steps', { exact: true }).getAttribute('aria-invalid'), 'true');
    await press('Control+z');
    assert.equal(await page.getByLabel('Steps', { exact: true }).inputValue(), '60');
    await type('4');
    await fill('Problems a step', '8');
    await fill('Measure every … steps', '2');
    await fill('Held-out problems to choose by', '48');
    await fill('Held-out problems to report on', '24');
    await tabTo('shorter answers');
    await press('Space');
    await tabTo('Weights: shorter answers');
    await tabTo('shorter answers', 'Shift+Tab');
    await press('Space');
    await tabTo('Start');
    await press('Enter');
    await page.getByRole('heading', { name: 'first' }).waitFor();
    await look('the start of a run');
    await page.getByText('finished', { exact: true }).waitFor({ timeout: 240_000 });
    await look('the end of a run');
  });

  test('a note is closed, points are walked through, Enter leads to their trajectories', async () => {
    await press('[');
    assert.equal(await page.locator('svg .point').count(), 2);
    await press(']');
    const point = await tabTo(/^step \d+: success/);
    assert.equal(point.role, 'button');
    assert.match((await press('Home')).name, /^step 0/);
    assert.match((await press('ArrowRight')).name, /^step 2/);
    assert.equal((await press('Enter')).name, 'Trajectories');
    await page.locator('[role=listbox] [role=option]').first().waitFor();
    await press('j', 'j', 'k', 'Enter');
    await page.getByRole('dialog', { name: 'Trajectory' }).getByText('Conversation as sampled').waitFor();
    await look('a trajectory');
    await tabTo('Next in the group');
    await press('Enter');
    const text = await tabTo('Conversation as sampled');
    assert.equal(text.role, 'application');
    await press('ArrowRight');
    await page.getByText(/log-prob -?\d/).waitFor();
    assert.equal((await press('Escape')).name, 'Trajectories');
    assert.match((await press('/')).name, /^Search/);
    await page.keyboard.type('zzzz');
    await page.getByText('No trajectory passes these filters.').waitFor();
    await tabTo('Clear filters');
    await press('Enter');
    await page.locator('[role=listbox] [role=option]').first().waitFor();
  });

  test('the problems of a step are rows as well, and Enter leads to the trajectories of one', async () => {
    await tabTo('List', 'Shift+Tab');
    await press('ArrowDown');
    await page.locator('tbody tr[tabindex="0"] .prompt').waitFor();
    await tabTo('Problems');
    assert.equal((await press('Tab')).role, 'tr');
    assert.equal((await press('j')).role, 'tr');
    assert.equal((await press('Enter')).name, 'Trajectories');
    await tabTo('All problems', 'Shift+Tab');
    await press('Enter');
    await page.getByRole('button', { name: 'All problems' }).waitFor({ state: 'detached' });
    await look('the end of a filter');
  });

  test('the chart as a table, its file, the scrubber', async () => {
    desk.served.answers.save = desk.out;
    await tabTo('Frontier: Table', 'Shift+Tab');
    await press('Enter');
    await tabTo(/^Frontier: Table/);
    await tabTo('Frontier: Table', 'Shift+Tab');
    await press('Enter');
    await tabTo('Frontier: SVG');
    await press('Enter');
    await page.getByText('Saved Frontier.svg').waitFor();
    await tabTo('Step shown');
    await press('ArrowLeft', 'ArrowRight');
    assert.equal((await tabTo(/^Play$/)).role, 'button');
  });

  test('a price is typed, its effect read, and a new run begun with it and left again', async () => {
    await fill('Price of one call of python', '3');
    await page.getByText(/At these prices the knee (stays|moves)/).waitFor();
    await tabTo('New run at these prices');
    await press('Enter');
    await page.getByRole('form', { name: 'New run' }).waitFor();
    await tabTo('Cancel');
    await press('Enter');
    await page.getByRole('heading', { name: 'first' }).waitFor();
    await look('leaving the form');
  });

  test('the chosen point is exported, and the focus comes back', async () => {
    desk.served.answers.folder = desk.out;
    await tabTo('Export ONNX…');
    await press('Enter');
    await tabTo('For');
    await press('ArrowDown', 'ArrowDown');
    await tabTo('Choose a folder…');
    await press('Enter');
    await tabTo('Export');
    await press('Enter');
    await page.getByText('The card in the folder holds these numbers', { exact: false }).waitFor({ timeout: 240_000 });
    await look('an export');
    await tabTo('Close');
    assert.equal((await press('Enter')).name, 'Export ONNX…');
    assert.ok(readdirSync(desk.out).some((name) => name.startsWith('first-') && existsSync(join(desk.out, name))));
  });

  test('a message is sent, answered, and the dialog left with Escape', async () => {
    await tabTo('Chat', 'Shift+Tab');
    await press('Enter');
    await tabTo('Message');
    await page.keyboard.type('7+8');
    await press('Enter');
    await desk.until(async () => (await page.getByText(/cost [\d.]+, \d+ tokens/).count()) === 2, 'both answers', 120);
    await look('the answers');
    assert.equal((await press('Escape')).name, 'Chat');
  });

  test('Models: a folder is imported', async () => {
    cpSync(starter, join(desk.folder, 'mine'), { recursive: true });
    desk.served.answers.folder = join(desk.folder, 'mine');
    await view('2', 'Models');
    await tabTo('Import a folder…');
    await press('Enter');
    await page.getByRole('region', { name: 'What was found' }).locator('form').waitFor();
    await fill('Name', 'own-agent');
    await press('Enter');
    await page.getByText('imported:own-agent can be chosen in a new run').waitFor();
    await look('an import');
    await tabTo('Tune this model: imported:own-agent');
  });

  test('Tasks: a file is looked at and used', async () => {
    const file = join(desk.folder, 'sums.jsonl');
    writeFileSync(file, [1, 2, 3, 4].map((n) => JSON.stringify({ prompt: `${n}+1`, answer: n + 1 })).join('\n'));
    desk.served.answers.file = file;
    await view('3', 'Tasks');
    await press('Control+Shift+o');
    await page.getByText('2 train, 1 selection, 1 report').waitFor();
    await look('a preview');
    await tabTo('Use in a new run');
    await press('Enter');
    await page.getByRole('form', { name: 'New run' }).waitFor();
    await tabTo('sums.jsonl');
    await press('Space');
  });

  test('a settings file is opened by a key, and what is wrong in it is closed', async () => {
    const file = join(desk.folder, 'run.yaml');
    writeFileSync(file, 'setps: 3\n');
    desk.served.answers.file = file;
    await press('Control+Shift+n');
    await page.getByText('line 1: unknown setting setps').waitFor();
    await tabTo('Close');
    await press('Enter');
    await page.getByText('line 1: unknown setting setps').waitFor({ state: 'detached' });
  });

  test('Tools: one is tried', async () => {
    await view('4', 'Tools');
    const input = await tabTo('Input of calculator');
    assert.equal(input.role, 'input');
    await page.keyboard.type('6*7');
    await press('Enter');
    await page.getByText('42', { exact: true }).waitFor({ timeout: 60_000 });
    await look('a try');
    await tabTo('Check all', 'Shift+Tab');
    await press('Enter');
    await page
      .getByText(/^works, \d+ ms$/)
      .first()
      .waitFor({ timeout: 120_000 });
    assert.equal((await look('a check')).name, 'Check all');
  });

  test('Tools: the form of a server is opened, turned to an address and left', async () => {
    await tabTo('Add MCP server…');
    assert.equal((await press('Enter')).role, 'input');
    await page.keyboard.type('mine');
    await press('Tab', 'ArrowDown');
    await page.getByRole('radio', { name: 'address', exact: false }).and(page.locator(':checked')).waitFor();
    await tabTo('Cancel');
    await press('Enter');
    await page.getByRole('form', { name: 'Add an MCP server' }).waitFor({ state: 'detached' });
    await look('a form that was left');
  });

  test('Device: the theme is chosen', async () => {
    await view('6', 'Device');
    await tabTo('system');
    await press('ArrowRight', 'ArrowRight');
    assert.equal(await page.evaluate('document.documentElement.dataset.theme'), 'dark');
    await press('ArrowLeft');
    await press('ArrowLeft');
  });

  test('the palette runs a command, and Escape leaves palette and shortcuts where they were opened', async () => {
    const before = await look('nothing');
    await press('Control+k');
    await page.keyboard.type('keyboard');
    await press('Enter');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    assert.equal((await press('Escape')).what, before.what);
    await press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    await tabTo('Close');
    assert.equal((await press('Enter')).what, before.what);
  });

  test('Runs: rows are walked through, annotated, deleted and brought back; a run is compared', async () => {
    await press('Control+1');
    await tabTo('‹ All runs');
    await press('Enter');
    await page.getByRole('heading', { name: 'Runs', exact: true }).waitFor();
    const row = await tabTo(/^first/);
    assert.equal(row.role, 'tr');
    await tabTo(/^Tags and note/);
    await press('Enter');
    await fill('Tags, separated by commas', 'kept');
    await press('Enter');
    assert.match((await look('a note')).name, /^Tags and note/);
    await tabTo(/^first/, 'Shift+Tab');
    await press('Delete');
    await page.getByText('is deleted for good in', { exact: false }).waitFor();
    await press('Control+z');
    await page.getByText('first is back').waitFor();
    await page.getByRole('button', { name: 'first', exact: true }).waitFor();
    await view('5', 'Compare');
    await tabTo('first');
    await press('Space', 'Space');
    await view('1', 'Runs');
    await tabTo(/^first/);
    await press('Enter');
    await page.getByRole('heading', { name: 'first' }).waitFor();
    await look('an opened run');
  });

  test('no script failed', async () => {
    assert.deepEqual(await page.evaluate('window.violations'), []);
    assert.deepEqual(desk.faults, []);
  });
});
