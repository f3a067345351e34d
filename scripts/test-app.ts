/**
 * `npm run test:app`: the built app in a real Electron (tests/app/*.e2e.ts). PARETUNE_ELECTRON names its binary; without
 * one, or without a display and xvfb-run, the tests are skipped by name. Builds first, unless PARETUNE_APP names a folder
 * that is built already. Ends with `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const root = resolve(import.meta.dirname, '..');
const electron = process.env.PARETUNE_ELECTRON;

if (electron && !process.env.PARETUNE_APP) {
  for (const script of ['scripts/build.ts', 'node_modules/electron-vite/bin/electron-vite.js build']) {
    const { status } = spawnSync(process.execPath, script.split(' '), { cwd: root, stdio: 'inherit' });
    if (status !== 0) process.exit(status ?? 1);
  }
}

let counts = { tests: 0, passed: 0, skipped: 0, todo: 0 };
const files = globSync('tests/app/*.e2e.ts', { cwd: root }).map((file) => resolve(root, file));
const stream = run({ files, concurrency: 1, cwd: root, timeout: 10 * 60_000 });
stream.on('test:summary', (event) => {
  if (event.file === undefined) counts = event.counts;
});
stream.on('end', () => {
  const failed = counts.tests - counts.passed - counts.skipped - counts.todo;
  console.log(`\n${counts.skipped} skipped\n${counts.passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
});
stream.compose(spec).pipe(process.stdout);
