/**
 * What the window takes on a large database, measured inside the page: from a click to the frame that shows what was asked
 * for, frames while a list is scrolled, and how long the page's thread is held while the engine tells a hundred events a
 * second. The caller brings the page and decides what is too slow (scale.e2e.ts, tests/bench/window.ts).
 */
import type { CDPSession, Page } from 'playwright-core';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import type { Served } from './serve.ts';

export type Paint = { view: string; firstMs: number; medianMs: number; worstMs: number };
export type Scroll = { framesPerSecond: number; longestFrameMs: number; rows: number };
export type Flood = {
  seconds: number;
  events: number;
  /** longest stretch in which the page's thread did nothing else, milliseconds by the clock: what other programs take is in it */
  longestTaskMs: number;
  /** the most that the thread itself computed in one task */
  longestTaskCpuMs: number;
  /** tasks of 50 ms and more */
  longTasks: number;
  framesPerSecond: number;
  heapBeforeMb: number;
  /** with the steps that were told, which are data of the run */
  heapAfterMb: number;
  /** when the run has gone back to where it was before: what is more than before is lost memory */
  heapBackMb: number;
};

/** Runs in the page. A message posted in an animation frame is taken after that frame was painted. */
const probe = `
window.probe = (() => {
  const frame = () => new Promise(requestAnimationFrame);
  const painted = () => new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => done();
    port2.postMessage(0);
  });
  const find = (place, text) => [...document.querySelectorAll(place)].find((node) =>
    (text === '' || node.textContent.includes(text)) && node.getClientRects().length > 0);
  const until = async (place, text, absent) => {
    const end = performance.now() + 30000;
    for (;;) {
      await frame();
      if ((!absent || !find(absent, '')) && find(place, text)) return painted();
      if (performance.now() > end) throw new Error('not painted: ' + place + ' ' + text);
    }
  };
  const type = (field, value) => {
    field.value = value;
    field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input', { bubbles: true }));
  };
  return {
    async click(from, fromText, place, text, absent) {
      const node = find(from, fromText);
      if (!node) throw new Error('nothing to click: ' + from + ' ' + fromText);
      await frame();
      const start = performance.now();
      node.click();
      await until(place, text, absent);
      return performance.now() - start;
    },
    /** to the frame in which the list tells another number of rows, or other rows */
    async fill(field, value) {
      const shown = () => document.querySelector('#trajectories + [role=status]').textContent
        + (document.querySelector('[role=option]')?.textContent ?? '');
      const before = shown();
      await frame();
      const start = performance.now();
      type(document.querySelector(field), value);
      while (shown() === before) {
        if (performance.now() - start > 10000) throw new Error('the list stays as it is: ' + value);
        await frame();
      }
      await painted();
      return performance.now() - start;
    },
    async scroll(seconds, pixels) {
      const box = document.querySelector('[role=listbox]');
      const from = box.scrollTop;
      const start = await frame();
      let last = start, longest = 0, frames = 0;
      while (last - start < seconds * 1000) {
        box.scrollTop += pixels;
        const now = await frame();
        longest = Math.max(longest, now - last);
        last = now;
        frames++;
      }
      const rows = (box.scrollTop - from) / document.querySelector('[role=option]').clientHeight;
      return { framesPerSecond: frames / ((last - start) / 1000), longestFrameMs: longest, rows: Math.round(rows) };
    },
    watch() {
      const seen = { frames: 0, tasks: [], start: performance.now(), on: true };
      seen.observer = new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map((e) => e.duration)));
      seen.observer.observe({ type: 'longtask' });
      (async () => { while (seen.on) { await frame(); seen.frames++; } })();
      window.probe.seen = seen;
    },
    report() {
      const { seen } = window.probe;
      seen.on = false;
      seen.tasks.push(...seen.observer.takeRecords().map((e) => e.duration));
      seen.observer.disconnect();
      return { longestTaskMs: Math.max(0, ...seen.tasks), longTasks: seen.tasks.length,
        framesPerSecond: seen.frames / ((performance.now() - seen.start) / 1000) };
    },
  };
})();
`;

/** To be called before the page is opened. */
export async function install(page: Page): Promise<void> {
  await page.addInitScript(probe);
}

/** One click and what must be seen after it: a place (CSS) with a text in it, and a place that must be gone. */
export type Click = { from: string; fromText?: string; place: string; text?: string; absent?: string };

/** Milliseconds from the click to the frame that shows what it asked for. */
export function paint(page: Page, { from, fromText = '', place, text = '', absent = '' }: Click): Promise<number> {
  return page.evaluate<number>(`probe.click(...${JSON.stringify([from, fromText, place, text, absent])})`);
}

/** Milliseconds from a change of a field of the list of trajectories to the frame with the rows that pass. */
export function fill(page: Page, field: string, value: string): Promise<number> {
  return page.evaluate<number>(`probe.fill(${JSON.stringify(field)}, ${JSON.stringify(value)})`);
}

/** Scrolls the list of trajectories by so many pixels a frame. */
export function scroll(page: Page, seconds: number, pixels: number): Promise<Scroll> {
  return page.evaluate<Scroll>(`probe.scroll(${seconds}, ${pixels})`);
}

/** The views of the rail, and what each shows when it is there. */
const skeleton = '[role=status][aria-label="Loading"]';
const rail = (fromText: string, place: string, text = ''): Click => ({
  from: 'nav button',
  fromText,
  place,
  text,
  absent: skeleton,
});
const views: Record<string, Click> = {
  models: rail('Models', 'main h1', 'Models'),
  tasks: rail('Tasks', 'main h1', 'Tasks'),
  tools: rail('Tools', 'main h2'),
  compare: rail('Compare', 'main svg path'),
  device: rail('Device', 'main h2', 'Settings'),
};
const toRuns = rail('Runs', 'main tbody tr');

/** Every view opened `times` times, the run `runId` among them; begins and ends at the list of runs. */
export async function paints(page: Page, runId: string, times: number): Promise<Paint[]> {
  const taken = new Map<string, number[]>();
  const take = async (view: string, click: Click) => {
    const ms = await paint(page, click);
    taken.set(view, [...(taken.get(view) ?? []), ms]);
  };
  for (let i = 0; i < times; i++) {
    for (const [view, click] of Object.entries(views)) await take(view, click);
    await take('runs', toRuns);
    await take('new run', { from: 'button.primary', fromText: 'New run', place: 'form input, main input' });
    await paint(page, toRuns);
    await take('a run: frontier', { from: 'tbody button', fromText: runId, place: 'svg .point' });
    await paint(page, { from: 'header h1', place: '[role=option]' });
    await take('a trajectory', { from: '[role=option]', place: '[role=dialog] article, [role=dialog] svg' });
    await paint(page, {
      from: '[role=dialog] button[aria-label="Close"]',
      place: '[role=listbox]',
      absent: '[role=dialog]',
    });
    await paint(page, { from: 'header button', fromText: 'All runs', place: 'main tbody tr' });
  }
  return [...taken].map(([view, all]) => {
    const sorted = [...all].sort((a, b) => a - b);
    return { view, firstMs: all[0], medianMs: sorted[sorted.length >> 1], worstMs: sorted[sorted.length - 1] };
  });
}

/**
 * Tells `perSecond` events for so long, as the keeper of a run does, and watches the page's thread meanwhile; then `back`, after
 * which the run holds what it held before.
 */
export async function flood(
  page: Page,
  served: Served,
  seconds: number,
  perSecond: number,
  next: (n: number) => RunEvent,
  back: RunEvent,
): Promise<Flood> {
  const devtools = await page.context().newCDPSession(page);
  const heapBeforeMb = await heapMb(devtools);
  const browser = page.context().browser()!;
  await browser.startTracing(page, { categories: ['toplevel'] });
  await page.evaluate('probe.watch()');
  const start = performance.now();
  let events = 0;
  while (performance.now() - start < seconds * 1000) {
    const due = Math.floor(((performance.now() - start) / 1000) * perSecond);
    while (events < due) served.tell({ kind: 'event', event: next(events++) });
    await new Promise((done) => setTimeout(done, 10));
  }
  const seen = await page.evaluate<Pick<Flood, 'longestTaskMs' | 'longTasks' | 'framesPerSecond'>>('probe.report()');
  const longestTaskCpuMs = longestTaskOf(await browser.stopTracing());
  const heapAfterMb = await heapMb(devtools);
  served.tell({ kind: 'event', event: back });
  await page.waitForTimeout(4000); // charts out of sight follow within three seconds
  return { seconds, events, ...seen, longestTaskCpuMs, heapBeforeMb, heapAfterMb, heapBackMb: await heapMb(devtools) };
}

/** The most CPU time of one task of a page's main thread, milliseconds, in a trace of Chromium. */
function longestTaskOf(trace: Buffer): number {
  type Event = { name: string; ph: string; pid: number; tid: number; tdur?: number; args: { name?: string } };
  const { traceEvents: events } = JSON.parse(trace.toString()) as { traceEvents: Event[] };
  const threadOf = ({ pid, tid }: Event) => `${pid} ${tid}`;
  const main = new Set(
    events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain').map(threadOf),
  );
  let longest = 0;
  for (const event of events) {
    if (event.ph === 'X' && main.has(threadOf(event))) longest = Math.max(longest, (event.tdur ?? 0) / 1000);
  }
  return longest;
}

async function heapMb(devtools: CDPSession): Promise<number> {
  for (let i = 0; i < 3; i++) await devtools.send('HeapProfiler.collectGarbage');
  const { usedSize } = await devtools.send('Runtime.getHeapUsage');
  return usedSize / 2 ** 20;
}
