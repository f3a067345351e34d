/** What gpu-check asks of torch: the numbers of the numerics gate for the same weights, which must be ours. Needs PARETUNE_PEERS. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { torchNumbers } from '../../scripts/torch-numbers.ts';
import { modelFolderOf, openAgent, starterNames } from '../../src-main/engine/run/agent.ts';
import { compareNumbers, describeChecks, agrees, numbersOf } from '../../src-main/engine/run/numerics-gate.ts';
import { lacks, python } from '../python-peers.ts';

const skip = lacks('torch', 'transformers');

for (const name of starterNames) {
  test(`torch computes what the CPU computes: ${name}`, { skip }, async () => {
    const policy = openAgent(`starter:${name}`).newPolicy(null, 0);
    const rows = Array.from({ length: 4 }, (_, row) => Array.from({ length: 64 }, (_, i) => (7 * i + row) % 40));
    const { numbers, speed, version } = torchNumbers(python, modelFolderOf(`starter:${name}`), policy, rows, 1);
    const checks = compareNumbers(numbers, await numbersOf(policy, 'cpu', 1));
    assert.ok(agrees(checks), describeChecks(`torch ${version}`, checks));
    assert.ok(Object.values(speed).every((value) => value > 0));
  });
}

test('a Python without torch is told as such', () => {
  const policy = openAgent('starter:over-user').newPolicy(null, 0);
  assert.throws(() => torchNumbers('/no/python', 'model', policy, [], 1), /^Error: torch: .*ENOENT/);
});
