/**
 * `npm run test:browser`: the window in Chromium on the real engine (tests/browser/*.e2e.ts), all files or those whose
 * path holds one of the words given. PARETUNE_CHROMIUM names a browser, else one on the path is taken; without one the
 * tests are skipped by name. Screenshots go to test-results/browser.
 */
import { globSync } from 'node:fs';
import { resolve } from 'node:path';
import { runTests } from './run-tests.ts';

const root = resolve(import.meta.dirname, '..');
const words = process.argv.slice(2);
const files = globSync('tests/browser/*.e2e.ts', { cwd: root })
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort()
  .map((file) => resolve(root, file));
runTests(files, { concurrency: 1, minutes: 20, maySkipAll: true });
