/**
 * `npm run test:app`: the built app in a real Electron (tests/app/*.e2e.ts). PARETUNE_ELECTRON names its binary; without
 * one, or without a display and Xvfb, the tests are skipped by name. Builds first, unless PARETUNE_APP names a folder
 * that is built already.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { resolve } from 'node:path';
import { runTests } from './run-tests.ts';

const root = resolve(import.meta.dirname, '..');

if (process.env.PARETUNE_ELECTRON && !process.env.PARETUNE_APP) {
  for (const script of ['scripts/build.ts', 'node_modules/electron-vite/bin/electron-vite.js build']) {
    const { status } = spawnSync(process.execPath, script.split(' '), { cwd: root, stdio: 'inherit' });
    if (status !== 0) process.exit(status ?? 1);
  }
}
const files = globSync('tests/app/*.e2e.ts', { cwd: root }).map((file) => resolve(root, file));
runTests(files, { concurrency: 1, minutes: 10, maySkipAll: true });
