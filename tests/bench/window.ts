/**
 * `npm run bench:window`: the window in Chromium on a database of 100,000 trajectories, 2,000 points and 200 other runs:
 * first paint of every view, search and filters, frames a second while scrolling, and a flood of engine events.
 *
 *   npm run bench:window -- [--json] [--trajectories 100000] [--points 2000] [--runs 200] [--times 5] [--flood 60]
 *                           [--data DIR]    keeps the database there and uses it again
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { databasePath, openStore } from '../../src-main/store/open-store.ts';
import { type Flood, fill, flood, install, paints, type Scroll, scroll } from '../browser/measure-window.ts';
import { buildWindow, chromiumPath, launch } from '../browser/open-window.ts';
import { serve } from '../browser/serve.ts';
import { fillStore, nextEvents } from './fill-store.ts';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    trajectories: { type: 'string', default: '100000' },
    points: { type: 'string', default: '2000' },
    runs: { type: 'string', default: '200' },
    times: { type: 'string', default: '5' },
    flood: { type: 'string', default: '60' },
    data: { type: 'string' },
  },
});
const executable = chromiumPath();
if (executable === null) throw new Error('no Chromium: install one or set PARETUNE_CHROMIUM');
const say = (text: string) => console.error(text);

const folder = mkdtempSync(join(tmpdir(), 'paretune-bench-'));
try {
  const data = options.data ?? join(folder, 'data');
  if (!existsSync(databasePath(data))) {
    mkdirSync(data, { recursive: true });
    const from = performance.now();
    fillStore(data, { runId: 'large', trajectories: Number(options.trajectories), points: Number(options.points) });
    for (let i = 0; i < Number(options.runs); i++)
      fillStore(data, { runId: `run-${i}`, trajectories: 64, points: 3, seed: i + 1 });
    say(`filled in ${((performance.now() - from) / 1000).toFixed(0)} s`);
  }
  await buildWindow(join(folder, 'renderer'));
  const served = await serve(data, join(folder, 'renderer'));
  const browser = await launch(executable);
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    await install(page);
    await page.goto(served.address);
    await page.locator('tbody tr').first().waitFor({ timeout: 60_000 });
    const painted = await paints(page, 'large', Number(options.times));
    say('views measured');

    await page.getByRole('button', { name: 'large', exact: true }).click();
    await page.locator('[role=option]').first().waitFor();
    const latency: { name: string; ms: number }[] = [];
    const ask = async (name: string, field: string, value: string) =>
      latency.push({ name, ms: await fill(page, field, value) });
    await ask('all steps', 'select[aria-label="Steps"]', 'all');
    await ask('failures', 'select[aria-label="Result"]', 'wrong');
    await ask('any result again', 'select[aria-label="Result"]', '');
    for (const word of ['8', '87', '873', 'zzzz']) await ask(`search ${word}`, 'input[type=search]', word);
    await ask('search cleared', 'input[type=search]', '');
    const scrolled = await scroll(page, 10, 120);
    say('list measured');
    const last = lastStep(data);
    const back = { kind: 'resumed', runId: 'large', fromStep: last, attempt: 1 } as const;
    const flooded = await flood(page, served, Number(options.flood), 100, nextEvents('large', last), back);
    // once more where all charts are on the screen
    await page.evaluate(`document.querySelector('#course').scrollIntoView()`);
    const charted = await flood(page, served, Number(options.flood) / 4, 100, nextEvents('large', last), back);
    const report = {
      paints: painted,
      latency,
      scroll: scrolled,
      flood: flooded,
      floodOfCharts: charted,
      node: process.version,
      browser: browser.version(),
    };
    if (options.json) console.log(JSON.stringify(report, null, 1));
    else print(report);
  } finally {
    await browser.close();
    await served.close();
  }
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}

function lastStep(data: string): number {
  const store = openStore(data, { mode: 'read' });
  try {
    return store.getRun('large').step;
  } finally {
    store.close();
  }
}

function print({
  paints,
  latency,
  scroll,
  flood,
  floodOfCharts,
}: {
  paints: { view: string; firstMs: number; medianMs: number; worstMs: number }[];
  latency: { name: string; ms: number }[];
  scroll: Scroll;
  flood: Flood;
  floodOfCharts: Flood;
}): void {
  const ms = (value: number) => `${value.toFixed(0)} ms`.padStart(10);
  console.log(`${'view'.padEnd(20)}${'first'.padStart(10)}${'median'.padStart(10)}${'worst'.padStart(10)}`);
  for (const { view, firstMs, medianMs, worstMs } of paints)
    console.log(`${view.padEnd(20)}${ms(firstMs)}${ms(medianMs)}${ms(worstMs)}`);
  console.log('');
  for (const { name, ms: taken } of latency) console.log(`${name.padEnd(20)}${ms(taken)}`);
  for (const found of [scroll, flood, floodOfCharts]) console.log(`\n${JSON.stringify(found)}`);
}
