/** What evaluated trajectories add up to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ToolCallRecord } from '../../src-main/contract/records.ts';
import { type EvaluatedTrajectory, policyPoint, ungradedNote } from '../../src-main/engine/run/evaluate.ts';

const call = (name: string, status: ToolCallRecord['status'] = 'ok', price = 1) =>
  ({ name, status, price }) as ToolCallRecord;
const one = (task: string, success: boolean | null, toolCalls: ToolCallRecord[]): EvaluatedTrajectory => ({
  problem: { task, tags: ['t'], unseen: true } as unknown as EvaluatedTrajectory['problem'],
  trajectory: {
    success,
    toolCalls,
    sampledLogprobs: [],
    cost: toolCalls.reduce((sum, { price }) => sum + price, 0),
  } as unknown as EvaluatedTrajectory['trajectory'],
});

test('a point keeps the mean priced calls of each tool by task, so that its cost at other prices is known', () => {
  const evaluated = [
    one('a', true, [call('python'), call('python')]),
    one('a', false, [call('search'), call('magic', 'unknown-tool', 0)]),
    one('a', null, [call('python')]),
    one('b', true, []),
  ];
  const { breakdown, cost } = policyPoint(evaluated, {
    step: 0,
    split: 'report',
    sampling: 'sampled',
    klToStart: null,
  });
  assert.deepEqual(breakdown['task:a'], { n: 2, success: 0.5, cost: 1.5, calls: { python: 1, search: 0.5 } });
  assert.deepEqual(breakdown['task:b'], { n: 1, success: 1, cost: 0, calls: {} });
  assert.equal(breakdown['tag:t'].calls, undefined);
  assert.equal(cost, 1);
});

test('problems that were not judged are told with the reasons, as they may not be like the others', () => {
  const ended = (stopReason: string, success: boolean | null) => {
    const { problem, trajectory } = one('a', success, []);
    return { problem, trajectory: { ...trajectory, stopReason } } as EvaluatedTrajectory;
  };
  const judged = [ended('answer', true), ended('token-limit', false)];
  assert.equal(ungradedNote(judged), null);
  assert.match(
    ungradedNote([...judged, ended('time-limit', null)])!,
    /^1 of 3 .*: 1 ran out of time \(limits.seconds\)\.$/,
  );
  const others = [ended('tool-broken', null), ended('answer', null), ended('answer', null)];
  assert.match(
    ungradedNote([...judged, ...others])!,
    /^3 of 5 .*: 1 called a tool that failed, 2 could not be judged\.$/,
  );
});
