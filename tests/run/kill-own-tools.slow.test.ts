/**
 * The same promise with a tool of the user's own: a run that calls an MCP server in its rollouts, killed (SIGKILL) and resumed, ends
 * with the weights, trajectories and tool calls of one that was left alone, and leaves no server behind.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandContext } from '../../src-main/engine-process/command.ts';
import { command as add } from '../../src-main/engine-process/commands/tools-add.ts';
import { command as approve } from '../../src-main/engine-process/commands/tools-approve.ts';
import { serverFile } from '../tools/mcp-server.ts';
import { killed, uninterrupted, withoutTimes } from './killed-run.ts';
import { temporaryFolder } from './starter.ts';
import { isRunning } from '../is-running.ts';

const tool = 'mcp:calc/calculator';
const STEPS = 8;
const settings = [
  ['tools', tool],
  ['problemsPerStep', 4],
  ['groupSize', 4],
  ['trainProblems', 32],
  ['selectionProblems', 8],
  ['reportProblems', 8],
  ['evaluation.everySteps', 4],
  ['evaluation.greedy', false],
  ['checkpoint.everySteps', 1],
  ['threads', 1],
].flatMap(([name, value]) => ['--set', `${name}=${value}`]);
const what = ['--name', 'run', '--model', 'starter:under-user', '--task', 'arithmetic-calculator'];
const tune = ['tune', ...what, '--steps', String(STEPS), ...settings];

test('kills of a run with an MCP tool change nothing', { timeout: 10 * 60_000 }, async (t) => {
  const alone = temporaryFolder(t);
  const log = join(alone, 'calls');
  const context: CommandContext = {
    dataFolder: alone,
    emit() {},
    progress() {},
    item() {},
    signal: new AbortController().signal,
  };
  const server = { kind: 'stdio' as const, command: process.execPath, args: [serverFile, 'plain', log], env: [] };
  const { tools } = await add.run({ name: 'calc', server }, context);
  await approve.run({ tool, hash: tools[0].hash, unattended: true, price: 0.5 }, context);
  const expected = await uninterrupted(tune, alone);
  assert.equal(expected.step, STEPS);
  const made = expected.groups
    .flat()
    .flatMap(({ trajectories }) => trajectories)
    .flatMap(({ toolCalls }) => toolCalls);
  assert.ok(made.filter(({ name, status, price }) => name === tool && status === 'ok' && price === 0.5).length > 0);

  const actual = await killed(tune, temporaryFolder(t), {
    most: 6,
    seed: 'kills of own tools',
    // the same approvals: what is pinned is the definition and the command
    prepare(folder) {
      mkdirSync(folder, { recursive: true });
      copyFileSync(join(alone, 'tools.json'), join(folder, 'tools.json'));
    },
  });
  t.diagnostic(`${actual.kills} kills, ${made.length} calls`);
  assert.ok(actual.kills >= 3, `only ${actual.kills} kills hit the run`);
  assert.equal(actual.status, 'finished');
  assert.equal(actual.hash, expected.hash);
  assert.deepEqual(actual.groups.map(withoutTimes), expected.groups.map(withoutTimes));
  const servers = readFileSync(`${log}.pids`, 'utf8').trim().split('\n').map(Number);
  // a server sees its input end and goes: at once, but not in the same instant
  for (let i = 0; i < 50 && servers.some(isRunning); i++) await sleep(100);
  assert.deepEqual(servers.filter(isRunning), [], 'a server outlived its run');
});
