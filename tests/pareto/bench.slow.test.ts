/** `npm run bench -- pareto` works, and where the peers are there our values are theirs. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { lacks } from '../python-peers.ts';

const bench = join(import.meta.dirname, '..', 'bench', 'bench.ts');

function rowsOf(environment: Record<string, string>, largest: number) {
  const args = [bench, 'pareto', '--json', '--rounds', '1', '--largest', String(largest)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout).rows as { name: string; oursMs: number; peer: string | null; equal: boolean | null }[];
}

test('the benchmark of the Pareto mathematics runs without any peer', () => {
  const rows = rowsOf({ PARETUNE_PEERS: '' }, 100);
  assert.deepEqual(
    rows.map(({ name }) => name),
    [2, 3, 4, 5].map((m) => `hypervolume, ${m} objectives, 100 points (sphere)`),
  );
  assert.ok(rows.every(({ oursMs, peer, equal }) => oursMs > 0 && peer === null && equal === null));
});

test('hypervolumes and archives are those of moocore and pymoo', {
  skip: lacks('moocore', 'pymoo'),
}, () => {
  const rows = rowsOf({}, 1000);
  assert.ok(rows.length >= 11 && rows.every(({ equal }) => equal === true));
});
