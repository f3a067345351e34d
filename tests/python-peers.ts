/** Reference programs in Python, in the virtual environment that PARETUNE_PEERS names (scripts/make-peers.sh makes it). */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const peers = process.env.PARETUNE_PEERS || undefined;
/** its interpreter, '' where there is none */
export const python =
  peers === undefined ? '' : join(peers, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');

/** Why a test that needs these Python modules is skipped, or false. */
export function lacks(...modules: string[]): string | false {
  const there = python !== '' && spawnSync(python, ['-c', `import ${modules.join(', ')}`]).status === 0;
  return there ? false : `PARETUNE_PEERS names no environment with ${modules.join(' and ')}`;
}
