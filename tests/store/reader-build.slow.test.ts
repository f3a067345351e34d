import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { openStore } from '../../src-main/store/open-store.ts';
import type { openReader } from '../../src-main/store/reader.ts';
import { started, stepEvent } from './samples.ts';

test('after a build the reader runs its worker from JavaScript', async () => {
  // below the repository, so that the build finds node_modules as an installed package does
  const repository = resolve(import.meta.dirname, '../..');
  mkdirSync(join(repository, 'test-results'), { recursive: true });
  const out = mkdtempSync(join(repository, 'test-results', 'store-'));
  try {
    const folder = join(out, 'data');
    const store = openStore(folder, { mode: 'write' });
    store.append(started('r'));
    store.append(stepEvent('r', 1));
    store.close();
    const options =
      '--ignoreConfig --target es2024 --module nodenext --rewriteRelativeImportExtensions --skipLibCheck --types node';
    const tsc = join(repository, 'node_modules/typescript/bin/tsc');
    const entry = ['reader.ts', 'reader-worker.ts'].map((name) => join(repository, 'src-main/store', name));
    execFileSync(
      process.execPath,
      [tsc, ...options.split(' '), '--rootDir', join(repository, 'src-main'), '--outDir', out, ...entry],
      { cwd: repository, stdio: 'inherit' },
    );
    const built = (await import(pathToFileURL(join(out, 'store/reader.js')).href)) as { openReader: typeof openReader };
    const reader = await built.openReader(folder);
    assert.deepEqual(await reader.readStep('r', 1), stepEvent('r', 1).groups);
    await reader.close();
  } finally {
    rmSync(out, { recursive: true });
  }
});
