/**
 * `npm run test:webgpu`: the tests of WebGPU (tests/webgpu/*.e2e.ts), on the machine's own Vulkan driver or on the software
 * device (SwiftShader) that Debian's chromium brings along. Without either each test is skipped by name. `--probe` writes
 * the capability table instead.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runTests } from './run-tests.ts';

const root = resolve(import.meta.dirname, '..');
const chromium = '/usr/lib/chromium';
const driver = join(chromium, 'vk_swiftshader_icd.json');
const probe = process.argv.includes('--probe');

if (process.env.VK_DRIVER_FILES === undefined && existsSync(driver)) {
  // the loader reads its library path when a process starts: begin again with it set
  const env = { ...process.env, VK_DRIVER_FILES: driver, LD_LIBRARY_PATH: libraryPath() };
  const { status } = spawnSync(process.execPath, process.argv.slice(1), { stdio: 'inherit', env });
  process.exit(status ?? 1);
}
if (probe) await import('./probe-provider.ts');
else {
  const files = globSync('tests/webgpu/*.e2e.ts', { cwd: root }).sort();
  runTests(
    files.map((file) => resolve(root, file)),
    { concurrency: 1, minutes: 30, maySkipAll: true },
  );
}

function libraryPath(): string {
  return [chromium, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
}
