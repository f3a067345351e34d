/**
 * `npm run bench:growth`: how writing and reading a run grow with its logged trajectories, 1,000 to 1,000,000, and how the Pareto
 * mathematics grow with the number of objectives, each with the exponent of a power law fitted to it (1 is linear, 0 is no
 * growth). Engine times are CPU time of the thread's process (other programs do not count), medians; the window's are from a
 * click to the frame that shows what was asked for, by the clock. No model computes here: trajectories are made up.
 *
 *   npm run bench:growth -- [--sizes 1000,10000,100000,1000000] [--data DIR] [--to docs/growth.md]
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { hypervolume } from '../../src-main/engine/pareto/hypervolume.ts';
import { nonDominatedSort } from '../../src-main/engine/pareto/non-dominated-sort.ts';
import { summarizeRun } from '../../src-main/engine-process/run-summary.ts';
import { databasePath, openStore } from '../../src-main/store/open-store.ts';
import { install, paint } from '../browser/measure-window.ts';
import { buildWindow, chromiumPath, launch } from '../browser/open-window.ts';
import { serve } from '../browser/serve.ts';
import { fillStore } from './fill-store.ts';
import { powerTable, type Row } from './power-law.ts';

const { values: options } = parseArgs({
  options: {
    sizes: { type: 'string', default: '1000,10000,100000,1000000' },
    data: { type: 'string' },
    to: { type: 'string', default: 'docs/growth.md' },
  },
});
const sizes = options.sizes.split(',').map(Number);
const folder = mkdtempSync(join(tmpdir(), 'paretune-growth-'));

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];

function cpuMs(work: () => unknown, times = 5): number {
  const taken = Array.from({ length: times }, () => {
    const from = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(from);
    return (user + system) / 1000;
  });
  return median(taken);
}

/** Fills a data folder (or finds it filled) and times the store: writing by its own clock, reading by CPU time. */
function store(data: string, trajectories: number): { writeMs: number; reads: Record<string, number>; steps: number } {
  const notes = join(data, 'written.json');
  if (!existsSync(databasePath(data))) {
    mkdirSync(data, { recursive: true });
    const points = Math.min(2000, Math.max(1, Math.round(trajectories / 64)));
    const { appendMs } = fillStore(data, { runId: 'large', trajectories, points, problemsPerStep: 8 });
    writeFileSync(notes, JSON.stringify({ writeMs: median(appendMs.slice(-Math.min(200, appendMs.length))) }));
    console.error(`${trajectories} trajectories written`);
  }
  const { writeMs } = JSON.parse(readFileSync(notes, 'utf8')) as { writeMs: number };
  const db = openStore(data, { mode: 'read' });
  try {
    const { step } = db.getRun('large');
    const [middle] = db.trajectories('large', { step: Math.ceil(step / 2) }, { limit: 1 }).rows;
    const reads = {
      'the run and its points (home)': cpuMs(() => summarizeRun(db, 'large')),
      'tools that were called (home)': cpuMs(() => db.calledTools('large')),
      'a page of 1,000 steps (charts)': cpuMs(() => db.steps('large', { limit: 1000 })),
      'trajectories of a step': cpuMs(() => db.trajectories('large', { step: Math.ceil(step / 2) }, { limit: 200 })),
      'a page of all trajectories, newest': cpuMs(() => db.trajectories('large', {}, { limit: 200 })),
      'a page of all trajectories, in the middle': cpuMs(() =>
        db.trajectories('large', {}, { after: middle.key, limit: 200 }),
      ),
      'failures with three calls or more': cpuMs(() =>
        db.trajectories('large', { success: false, minCalls: 3 }, { limit: 200 }),
      ),
      'a word of the texts': cpuMs(() => db.trajectories('large', { search: '873' }, { limit: 200 })),
      'a word that is nowhere': cpuMs(() => db.trajectories('large', { search: 'zzzz' }, { limit: 200 })),
      'one trajectory': cpuMs(() => db.trajectory(middle.key)),
      'the sums over all trajectories (on demand)': cpuMs(() => db.statistics('large'), 3),
    };
    return { writeMs, reads, steps: step };
  } finally {
    db.close();
  }
}

/** From a click to the picture, milliseconds: the median of five. */
async function windowTimes(data: string, renderer: string, executable: string): Promise<Record<string, number>> {
  const served = await serve(data, renderer);
  const browser = await launch(executable);
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    await install(page);
    await page.goto(served.address);
    await page.locator('tbody tr').first().waitFor({ timeout: 60_000 });
    const home: number[] = [];
    const sheet: number[] = [];
    for (let i = 0; i < 5; i++) {
      home.push(await paint(page, { from: 'tbody button', fromText: 'large', place: 'svg .point' }));
      await page.locator('[role=option]').first().waitFor();
      sheet.push(await paint(page, { from: '[role=option]', place: '[role=dialog] article, [role=dialog] svg' }));
      await page.locator('[role=dialog] button[aria-label="Close"]').click();
      await paint(page, { from: 'header button', fromText: 'All runs', place: 'main tbody tr' });
    }
    return { 'window: a run, first paint': median(home), 'window: a trajectory': median(sheet) };
  } finally {
    await browser.close();
    await served.close();
  }
}

/** Points of which none dominates another, M objectives. */
function sphere(n: number, m: number): number[][] {
  const random = randomStream(0, 'growth', n, m);
  return Array.from({ length: n }, () => {
    const direction = Array.from({ length: m }, () => Math.abs(random.normal()));
    const length = Math.hypot(...direction);
    return direction.map((value) => value / length);
  });
}

try {
  const executable = chromiumPath();
  const renderer = join(folder, 'renderer');
  if (executable) await buildWindow(renderer);
  const rows = new Map<string, number[]>();
  const add = (name: string, ms: number) => rows.set(name, [...(rows.get(name) ?? []), ms]);
  const steps: number[] = [];
  for (const size of sizes) {
    const data = join(options.data ?? folder, String(size));
    const measured = store(data, size);
    steps.push(measured.steps);
    add('writing a step of 64 trajectories (by the clock)', measured.writeMs);
    for (const [name, ms] of Object.entries(measured.reads)) add(name, ms);
    if (executable)
      for (const [name, ms] of Object.entries(await windowTimes(data, renderer, executable))) add(name, ms);
    console.error(`${size} measured`);
  }
  const objectives = [2, 3, 4, 5];
  const pareto = [100, 1000].flatMap((n): Row[] => {
    const points = objectives.map((m) => sphere(n, m));
    const zero = (m: number) => Array.from({ length: m }, () => 0);
    return [
      {
        name: `hypervolume of ${n} points`,
        ms: points.map((all, i) => cpuMs(() => hypervolume(all, zero(objectives[i])), 3)),
      },
      { name: `non-dominated sort of ${n} points`, ms: points.map((all) => cpuMs(() => nonDominatedSort(all), 3)) },
    ];
  });
  const count = (n: number) => n.toLocaleString('en');
  const text = `# Growth

Made by \`npm run bench:growth -- --sizes ${options.sizes}\`; milliseconds on ${cpus()[0].model}, ${cpus().length} cores, Node ${process.version}.
How each is measured is in [tests/bench/growth.ts](../tests/bench/growth.ts). The exponent b is that of a size^b fitted to the row:
1 is linear, 0 is no growth; times under a few hundredths of a millisecond say little.

## With the number of logged trajectories

${sizes.map((size, i) => `${count(size)} trajectories are ${count(steps[i])} steps`).join(', ')}; at most 2,000 of them are measured.

${powerTable(
  ['', ...sizes.map(count)],
  [...rows].map(([name, ms]) => ({ name, ms })),
  sizes,
)}

## With the number of objectives

No point dominates another, the hard case.

${powerTable(['', ...objectives.map(String)], pareto, objectives)}
`;
  writeFileSync(options.to, text);
  console.error(`written to ${options.to}`);
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}
