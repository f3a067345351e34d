/**
 * `npm test`: runs the tests with node:test and ends with one plain line, `N passed, N failed` (tests, not files or suites).
 *
 *   npm test                       everything
 *   npm test -- --quick            without *.slow.test.ts (part of `npm run check`)
 *   npm test -- store cli/table    only files whose path holds one of the words
 *   npm test -- --golden DIR       tests/golden only, on any folder of the golden format (sets PARETUNE_GOLDEN)
 *   npm test -- --data DIR         real datasets for the tests that can use them (sets PARETUNE_DATA)
 */
import { existsSync, globSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runTests } from './run-tests.ts';

const root = resolve(import.meta.dirname, '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, golden: { type: 'string' }, data: { type: 'string' } },
});

/** npm changes into the package's folder; what the user typed is relative to where they stood. */
function useFolder(variable: string, folder: string | undefined): void {
  if (folder === undefined) return;
  const path = resolve(process.env.INIT_CWD ?? process.cwd(), folder);
  if (!existsSync(path)) fail(`no folder ${path}`);
  process.env[variable] = path;
}

function fail(message: string): never {
  console.error(`test: ${message}`);
  process.exit(2);
}

useFolder('PARETUNE_GOLDEN', values.golden);
useFolder('PARETUNE_DATA', values.data);

const words = positionals.map((word) => word.replaceAll('\\', '/').replace(/^\.\//, ''));
const files = globSync(values.golden ? 'tests/golden/**/*.test.ts' : 'tests/**/*.test.ts', { cwd: root })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => !(values.quick && file.endsWith('.slow.test.ts')))
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort()
  .map((file) => resolve(root, file));
if (files.length === 0) fail(`no test file matches ${positionals.join(' ') || 'tests/**/*.test.ts'}`);

runTests(files, { concurrency: 2, minutes: 15 });
