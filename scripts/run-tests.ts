/**
 * Runs test files with node:test, prints what was skipped and why, and ends with one plain line, `N passed, N failed`
 * (tests, not files or suites). What the scripts beside it share; which files, each of them says.
 */
import { relative, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const root = resolve(import.meta.dirname, '..');

/** Sets the exit code: 0 if nothing failed and something passed, or, with `maySkipAll`, was skipped by name. */
export function runTests(
  files: string[],
  { concurrency, minutes, maySkipAll = false }: { concurrency: number; minutes: number; maySkipAll?: boolean },
): void {
  const skipped: string[] = [];
  let counts = { tests: 0, passed: 0, skipped: 0, todo: 0 };
  const stream = run({ files, concurrency, cwd: root, timeout: minutes * 60_000 });
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
    if (skipped.length > 0) {
      console.log(`\n${skipped.length} skipped:\n${skipped.map((line) => `  ${line}`).join('\n')}`);
    }
    // a cancelled test (its file died, or it ran past the limit) has not passed
    const failed = counts.tests - counts.passed - counts.skipped - counts.todo;
    console.log(`\n${counts.passed} passed, ${failed} failed`);
    const ran = counts.passed > 0 || (maySkipAll && skipped.length > 0);
    process.exitCode = failed === 0 && ran ? 0 : 1;
  });
  stream.compose(spec).pipe(process.stdout);
}
