/**
 * The window on a large database, in Chromium on the real engine: every view soon there, the list scrolls, a flood of events
 * neither blocks the page nor fills its memory, and what is thinned out hides nothing. The database is smaller than that of
 * `npm run bench:window` (32,000 trajectories for 100,000; the 2,000 points are the same), and bounds are wide, for this also
 * runs on two shared cores: beside each stands the aim, which the benchmark is held to.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import type { RunConfig } from '../../src-main/contract/run-config.ts';
import { openStore } from '../../src-main/store/open-store.ts';
import { fillStore, nextEvents } from '../bench/fill-store.ts';
import { executable, skip } from './desk.ts';
import { fill, flood, install, paints, scroll } from './measure-window.ts';
import { buildWindow, launch } from './open-window.ts';
import { type Served, serve } from './serve.ts';

const steps = 2000;
const bounds = {
  paintMs: 2000, // aim: 300
  answerMs: 2000, // aim: 100
  framesPerSecond: 8, // aim: 50
  blockedCpuMs: 150, // aim: 50; by the clock other programs' time is in it
  blockedMs: 1500,
  lostMb: 2, // aim: 0
  bytesOfAStep: 4000,
};

describe('a large database', { skip, timeout: 600_000 }, () => {
  let folder: string;
  let browser: Browser;
  let served: Served;
  let page: Page;
  const faults: string[] = [];
  let frontier: number[];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'paretune-scale-'));
    const data = join(folder, 'data');
    mkdirSync(data);
    fillStore(data, { runId: 'large', trajectories: 16 * steps, points: steps });
    const objectives: RunConfig['objectives'] = ['success', 'tool', 'length'];
    fillStore(data, { runId: 'three', trajectories: 16 * steps, points: steps, objectives });
    for (let i = 0; i < 30; i++) fillStore(data, { runId: `run-${i}`, trajectories: 16, points: 1, seed: i + 1 });
    const store = openStore(data, { mode: 'read' });
    frontier = store.frontier('large', 'selection').map(({ point }) => point.step);
    store.close();
    await buildWindow(join(folder, 'renderer'));
    served = await serve(data, join(folder, 'renderer'));
    browser = await launch(executable!);
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.on('pageerror', (error) => faults.push(error.message));
    await install(page);
    await page.goto(served.address);
    await page.locator('tbody tr').first().waitFor({ timeout: 60_000 });
  });
  after(async () => {
    await browser?.close();
    await served?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  });

  test('every view is there soon after it is asked for', async () => {
    const slow = (await paints(page, 'large', 3)).filter(({ medianMs }) => medianMs > bounds.paintMs);
    assert.deepEqual(slow, []);
  });

  test('every point of the frontier has a mark of its own, and a dominated one under the pointer gets one', async () => {
    await page.getByRole('button', { name: 'large', exact: true }).click();
    await page.locator('svg .point').first().waitFor();
    const drawn = await page
      .locator('svg .point.on')
      .evaluateAll((marks) => marks.map((mark) => Number(mark.getAttribute('data-step'))));
    assert.deepEqual(
      drawn.sort((a, b) => a - b),
      frontier.sort((a, b) => a - b),
    );
    const marks = page.locator('svg .point');
    assert.ok((await marks.count()) < 100, 'the others are one outline');
    const outline = (await page.locator('svg .dots').getAttribute('d')) ?? '';
    assert.ok(outline.split('M').length > 200);
    await page.locator('svg .point[tabindex="0"]').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowRight');
    assert.equal(await page.locator('svg .point:focus').getAttribute('data-step'), '1');
    assert.equal(await page.locator('svg .point[data-step="1"]').getAttribute('aria-pressed'), 'true');
    await page.keyboard.press('End');
  });

  test('the table of a chart draws the rows that are seen, of all', async () => {
    const frame = page.locator('section[aria-label="Frontier"]');
    await frame.getByRole('button', { name: 'Frontier: Table' }).click();
    const table = frame.getByRole('table');
    assert.equal(await table.getAttribute('aria-rowcount'), String(steps + 1));
    assert.ok((await table.locator('tr[aria-rowindex]').count()) < 60);
    const box = frame.getByRole('region');
    await box.evaluate((node) => (node.scrollTop = node.scrollHeight));
    await table.locator(`tr[aria-rowindex="${steps + 1}"]`).waitFor();
    await frame.getByRole('button', { name: 'Frontier: Table' }).click();
  });

  test('what all trajectories add up to is read when it is opened', async () => {
    await page.getByText('What the trajectories add up to').click();
    await page.getByText(`${(16 * steps).toLocaleString('en')} trajectories:`, { exact: false }).waitFor();
  });

  test('the list is searched, filtered and scrolled without a wait', async () => {
    const answers = [
      await fill(page, 'select[aria-label="Steps"]', 'all'),
      await fill(page, 'select[aria-label="Result"]', 'wrong'),
      await fill(page, 'select[aria-label="Result"]', ''),
      await fill(page, 'input[type=search]', '87'),
      await fill(page, 'input[type=search]', ''),
    ];
    assert.ok(Math.max(...answers) < bounds.answerMs, answers.join());
    const { framesPerSecond, rows } = await scroll(page, 3, 120);
    assert.ok(framesPerSecond > bounds.framesPerSecond, String(framesPerSecond));
    assert.ok(rows > 20);
  });

  test('of three objectives too, only the frontier has marks of its own, and the keys go through all', async () => {
    await page.getByRole('button', { name: '‹' }).first().click();
    await page.getByRole('button', { name: 'three', exact: true }).click();
    const charts = page.locator('.pair');
    await charts.locator('svg .policy').first().waitFor();
    assert.ok((await charts.locator('svg *').count()) < 2000);
    await charts.locator('svg .policy[tabindex="0"]').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowRight');
    assert.equal(await charts.locator('svg .policy:focus').getAttribute('data-step'), '1');
    await page.keyboard.press('End');
    assert.equal(await charts.locator('svg .policy:focus').getAttribute('data-step'), String(steps - 1));
    assert.equal(await charts.locator('path.policy-line.selected').count(), 1);
    await page.getByRole('button', { name: '‹' }).first().click();
    await page.getByRole('button', { name: 'large', exact: true }).click();
    await page.locator('svg .point').first().waitFor();
  });

  test('a hundred events a second neither block the page nor stay in its memory', async () => {
    const back = { kind: 'resumed', runId: 'large', fromStep: steps, attempt: 1 } as const;
    for (const place of ['main h1, header h1', '#course']) {
      await page.locator(place).first().scrollIntoViewIfNeeded();
      const seen = await flood(page, served, 4, 100, nextEvents('large', steps), back);
      assert.ok(seen.events > 200, JSON.stringify(seen));
      assert.ok(seen.longestTaskCpuMs > 0 && seen.longestTaskCpuMs < bounds.blockedCpuMs, JSON.stringify(seen));
      assert.ok(seen.longestTaskMs < bounds.blockedMs, JSON.stringify(seen));
      const held = (bounds.bytesOfAStep * seen.events) / 2 ** 20;
      assert.ok(seen.heapAfterMb - seen.heapBeforeMb < held + bounds.lostMb, JSON.stringify(seen));
      assert.ok(seen.heapBackMb - seen.heapBeforeMb < bounds.lostMb, JSON.stringify(seen));
    }
    assert.deepEqual(faults, []);
  });
});
