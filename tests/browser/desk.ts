/**
 * What every test in a browser begins with: the window, served on the real engine with a data folder of its own, open in
 * Chromium, and what is asked of each view: no violation that axe finds and nothing cut off, in light and dark, at 100 and
 * 200 %, with a picture of each. Not here: which views there are, which the tests say.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { buildWindow, chromiumPath, launch, violations } from './open-window.ts';
import { type Served, type ServeOptions, serve } from './serve.ts';

export const executable = chromiumPath();
export const skip = executable === null && 'no Chromium: install one or set PARETUNE_CHROMIUM';
export const pictures = resolve(import.meta.dirname, '../../test-results/browser');

export type Desk = {
  folder: string;
  out: string;
  served: Served;
  page: Page;
  /** script errors, messages of the console and requests to anywhere but the window: empty at the end */
  faults: string[];
  until(done: () => Promise<boolean>, what: string, seconds?: number): Promise<void>;
  /** the view as it is, in both themes and sizes: a picture each, nothing that axe finds, nothing cut off */
  look(name: string): Promise<void>;
  /** files and folders dragged from outside and dropped on the middle of the window; all of one folder */
  drop(...paths: string[]): Promise<void>;
  close(): Promise<void>;
};

const size = { width: 1280, height: 900 };
/** The same window at 200 %: half as many pixels of the page each way. */
const zoomed = { width: 640, height: 450 };

/** What is drawn past the right edge of the window or of its pane, and is in no box that scrolls sideways. */
const cutOff = `(() => {
  const wide = [];
  const main = document.querySelector('main');
  if (main.scrollWidth > main.clientWidth) wide.push('main scrolls sideways: ' + main.scrollWidth + ' > ' + main.clientWidth);
  for (const element of document.querySelectorAll('#app *')) {
    if (!element.checkVisibility() || element.closest('.hidden') || element.closest('svg svg, svg *')) continue;
    const { right, width } = element.getBoundingClientRect();
    if (width === 0) continue;
    let edge = innerWidth;
    let inScroller = false;
    for (let box = element.parentElement; box && box !== main && box !== document.body; box = box.parentElement) {
      if (getComputedStyle(box).overflowX !== 'visible' && box.tagName !== 'DIALOG') inScroller = true;
      if (box.classList.contains('pane') || box.tagName === 'DIALOG') { edge = Math.min(edge, box.getBoundingClientRect().right); break; }
    }
    if (!inScroller && right > edge + 1) wide.push(element.tagName.toLowerCase() + '.' + element.className + ' ' + (element.textContent ?? '').trim().slice(0, 30) + ': ' + Math.round(right) + ' > ' + Math.round(edge));
  }
  return wide.slice(0, 8);
})()`;

export async function openDesk(options: ServeOptions = {}): Promise<Desk> {
  const folder = mkdtempSync(join(tmpdir(), 'paretune-window-'));
  const out = join(folder, 'out');
  for (const made of [pictures, join(folder, 'data'), out]) mkdirSync(made, { recursive: true });
  await buildWindow(join(folder, 'renderer'));
  const served = await serve(join(folder, 'data'), join(folder, 'renderer'), options);
  const browser: Browser = await launch(executable!);
  const page = await browser.newPage({ viewport: size, reducedMotion: 'reduce' });
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('request', (request) => request.url().startsWith(served.address) || faults.push(request.url()));
  page.setDefaultTimeout(120_000); // a busy machine starts an engine in half a minute
  await page.goto(served.address);

  async function look(name: string): Promise<void> {
    for (const [viewport, suffix] of [
      [size, ''],
      [zoomed, '-200'],
    ] as const) {
      await page.setViewportSize(viewport);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        // so high that all of the view is in the picture; what lies above the view keeps its own size
        const height = await page.evaluate<number>(`(() => {
          const main = document.querySelector('main');
          return document.querySelector('dialog[open], .sheet') ? innerHeight : innerHeight + main.scrollHeight - main.clientHeight;
        })()`);
        await page.setViewportSize({ ...viewport, height: Math.min(height, 4000) });
        await page.waitForTimeout(100);
        await page.screenshot({ path: join(pictures, `${name}${suffix}-${colorScheme}.png`) });
        await page.setViewportSize(viewport);
        const what = `${name}${suffix}, ${colorScheme}`;
        assert.deepEqual(await violations(page), [], what);
        assert.deepEqual(await page.evaluate<string[]>(cutOff), [], what);
      }
    }
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize(size);
  }

  const devtools = await page.context().newCDPSession(page);
  async function drop(...files: string[]): Promise<void> {
    served.drops.folder = dirname(files[0]);
    const data = { items: [], files, dragOperationsMask: 1 };
    const place = { x: size.width / 2, y: size.height / 2, data };
    const drag = (type: 'dragEnter' | 'dragOver' | 'drop') =>
      devtools.send('Input.dispatchDragEvent', { type, ...place });
    // a place that is replaced under the pointer takes no drop
    await page.locator('main [role=status][aria-label=Loading]').first().waitFor({ state: 'detached' });
    // a pointer that moves sends many of these; a drop before the window has said that it takes one is ignored
    const taken = page.locator('body[data-over]');
    for (let tries = 0; tries < 40 && (await taken.count()) === 0; tries++) {
      await drag('dragEnter');
      await drag('dragOver');
      await page.waitForTimeout(50);
    }
    await drag('drop');
  }

  return {
    drop,
    folder,
    out,
    served,
    page,
    faults,
    look,
    async until(done, what, seconds = 120) {
      const end = performance.now() + seconds * 1000;
      while (!(await done())) {
        if (performance.now() > end) assert.fail(`not within ${seconds} s: ${what}`);
        await page.waitForTimeout(200);
      }
    },
    async close() {
      await browser.close();
      await served.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}

/** Fills the form of a new run, which is open, for a run of seconds, and starts it. */
export async function startSmallRun(page: Page, name: string, more: Record<string, string> = {}): Promise<void> {
  const fields = {
    'Name (empty: one is made)': name,
    Steps: '6',
    'Problems a step': '8',
    'Measure every … steps': '2',
    'Held-out problems to choose by': '64',
    'Held-out problems to report on': '32',
    ...more,
  };
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value);
  await page.getByRole('button', { name: 'Start', exact: true }).click();
}
