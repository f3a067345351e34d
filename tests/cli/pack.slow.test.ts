/** What `npm pack` ships runs after a plain install: built JavaScript, the bundled agents, no checkout around it. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..', '..');
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

test('the package installs into an empty folder and tunes an agent there', { timeout: 5 * 60_000 }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'paretune-pack-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  execFileSync(npm, ['pack', '--pack-destination', folder], { cwd: root, stdio: 'ignore' });
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true }));
  cpSync(join(root, '.npmrc'), join(folder, '.npmrc'));
  const install = spawnSync(npm, ['install', '--no-audit', '--no-fund', join(folder, `paretune-${version}.tgz`)], {
    cwd: folder,
    encoding: 'utf8',
  });
  if (install.status !== 0 && /ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT/.test(install.stderr)) {
    t.skip('the npm registry cannot be reached');
    return;
  }
  assert.equal(install.status, 0, install.stderr);
  // the Node of this test, as a user's newer Node would be
  const command = join(folder, 'node_modules', 'paretune', 'dist', 'cli', 'main.js');
  const paretune = (...args: string[]) =>
    execFileSync(process.execPath, [command, ...args, '--data', join(folder, 'data')], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  assert.match(paretune('--help'), /demo/);
  assert.match(paretune('tools', 'try', 'calculator', '12*7'), /84/);
  const demo = JSON.parse(paretune('demo', '--steps', '1', '--problems', '8', '--json')) as { steps: number };
  assert.equal(demo.steps, 1);
});
