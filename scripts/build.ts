/**
 * `npm run build`: src-main/ as JavaScript in dist/, what `npm pack` ships (Node refuses to strip types below
 * node_modules). The compiler turns `./x.ts` into `./x.js` in imports; in `new URL('./x.ts', import.meta.url)`, which names
 * the entry of a worker or a child process, this script does.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const dist = join(root, 'dist');
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');

rmSync(dist, { recursive: true, force: true });
const { status } = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);

for (const file of globSync('**/*.js', { cwd: dist })) {
  const path = join(dist, file);
  const text = readFileSync(path, 'utf8');
  const rewritten = text.replace(/(new URL\(\s*['"]\.{1,2}\/[^'"]+)\.ts(['"],\s*import\.meta\.url)/g, '$1.js$2');
  if (rewritten !== text) writeFileSync(path, rewritten);
}

// whatever is not TypeScript travels as it is
cpSync(join(root, 'src-main'), dist, { recursive: true, filter: (source) => !source.endsWith('.ts') });
chmodSync(join(dist, 'cli', 'main.js'), 0o755);
