/** Chromium for the tests of the window: which one, the window built for it, and what axe says of a page. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, join, resolve } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';

const root = resolve(import.meta.dirname, '../..');

/** PARETUNE_CHROMIUM, or a Chromium or Chrome on the path; null where there is none. */
export function chromiumPath(): string | null {
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const folders = (process.env.PATH ?? '').split(delimiter);
  const paths = process.env.PARETUNE_CHROMIUM
    ? [process.env.PARETUNE_CHROMIUM]
    : names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return paths.find((path) => existsSync(path)) ?? null;
}

export function launch(executablePath: string): Promise<Browser> {
  // the sandbox of Chromium cannot be set up as root, which containers are
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}

/** Builds the window into a folder of the test's own, so that other builds do not get in its way. */
export async function buildWindow(outDir: string): Promise<void> {
  await build({ configFile: join(root, 'src-renderer/vite.config.ts'), logLevel: 'error', build: { outDir } });
}

/** axe's violations of the page as it is: rule, and the first few places. */
export async function violations(page: Page): Promise<string[]> {
  const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
  await page.evaluate(await readFile(axe, 'utf8'));
  return page.evaluate(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
    violations.map((v) => v.id + ': ' + v.nodes.slice(0, 4).map((n) => n.target.join(' ') + ' ' + (n.failureSummary ?? '').slice(0, 160)).join(' | ')))`);
}
