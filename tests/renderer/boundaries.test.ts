/** The window stands on the contract and itself: nothing of the engine, of Node or of Electron gets into it; and it never makes text into markup. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');
const files = globSync('src-renderer/**/*.{ts,svelte}', { cwd: root }).filter(
  (file) => !file.endsWith('vite.config.ts'),
);
const packages = new Set(['svelte', 'uplot', 'uplot/dist/uPlot.min.css', 'zod']);

test('every import is the contract, the window itself or a package that it may use', () => {
  assert.ok(files.length > 40);
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, specifier] of text.matchAll(/^\s*import\s*(?:[^'"`;]*?\bfrom\s*)?['"]([^'"]+)['"]/gm)) {
      const target = relative(root, resolve(root, dirname(file), specifier)).replaceAll('\\', '/');
      const allowed = specifier.startsWith('.')
        ? target.startsWith('src-renderer/') || target.startsWith('src-main/contract/')
        : packages.has(specifier);
      assert.ok(allowed, `${file} imports ${specifier}`);
    }
  }
});

test('no text becomes markup, and no style or script is written into the page', () => {
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    assert.doesNotMatch(
      text,
      /\{@html|innerHTML|outerHTML|insertAdjacentHTML|document\.write|setAttribute\('style'|\beval\(|new Function/,
      file,
    );
  }
});
