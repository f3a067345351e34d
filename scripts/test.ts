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
import { relative, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { parseArgs } from 'node:util';

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

const skipped: string[] = [];
let counts = { tests: 0, passed: 0, skipped: 0, todo: 0 };
const stream = run({ files, concurrency: 2, cwd: root, timeout: 15 * 60_000 });
stream.on('test:pass', (event) => {
  if (event.skip === undefined) return;
  const reason = typeof event.skip === 'string' ? event.skip : 'no reason given';
  skipped.push(`${event.file ? relative(root, event.file) : 'tests'}: ${event.name} (${reason})`);
});
stream.on('test:summary', (event) => {
  // one summary a file and, without `file`, one for all
  if (event.file === undefined) counts = event.counts;
});
stream.on('end', () => {
  if (skipped.length > 0) console.log(`\n${skipped.length} skipped:\n${skipped.map((line) => `  ${line}`).join('\n')}`);
  // a cancelled test (its file died, or it ran past the limit) has not passed
  const failed = counts.tests - counts.passed - counts.skipped - counts.todo;
  console.log(`\n${counts.passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && counts.passed > 0 ? 0 : 1;
});
stream.compose(spec).pipe(process.stdout);
