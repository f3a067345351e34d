/**
 * The promise of checkpoints, kept under violence: a run that is killed (SIGKILL, the engine and its supervisor) at twenty
 * random moments and resumed each time ends with the same weights and trajectories as one that was left alone.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killed, uninterrupted, withoutTimes } from './killed-run.ts';
import { temporaryFolder } from './starter.ts';

const KILLS = 20;
const STEPS = 24;
const settings = [
  ['problemsPerStep', 4],
  ['groupSize', 8],
  ['trainProblems', 32],
  ['selectionProblems', 8],
  ['reportProblems', 8],
  ['evaluation.everySteps', 6],
  ['evaluation.greedy', false],
  ['checkpoint.everySteps', 2],
  ['threads', 2], // and rows for two lanes
].flatMap(([name, value]) => ['--set', `${name}=${value}`]);
const tune = [
  'tune',
  '--name',
  'run',
  '--model',
  'starter:over-user',
  '--task',
  'arithmetic',
  '--steps',
  String(STEPS),
  ...settings,
];

test('twenty kills at random moments change nothing', { timeout: 14 * 60_000 }, async (t) => {
  const expected = await uninterrupted(tune, temporaryFolder(t));
  assert.equal(expected.step, STEPS);
  const actual = await killed(tune, temporaryFolder(t), { most: KILLS, seed: 'kills' });
  t.diagnostic(`${actual.kills} kills`);
  assert.ok(actual.kills >= 5, `only ${actual.kills} kills hit the run`);
  assert.equal(actual.status, 'finished');
  assert.equal(actual.hash, expected.hash);
  assert.deepEqual(actual.groups.map(withoutTimes), expected.groups.map(withoutTimes));
});
