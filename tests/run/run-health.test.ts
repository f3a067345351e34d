import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StepMetrics, StopReason, ToolCallRecord } from '../../src-main/contract/records.ts';
import type { RunFacts } from '../../src-main/contract/run-events.ts';
import { checkHealth, checkPoint, checkRollouts, requireNumbers } from '../../src-main/engine/run/run-health.ts';
import { firstState } from '../../src-main/engine/run/run-state.ts';

const call = (name: string): ToolCallRecord => ({
  name,
  arguments: {},
  output: '',
  status: 'error',
  price: 1,
  milliseconds: 0,
  resultStart: -1,
});
const ended = (count: number, stopReason: StopReason, tools: string[] = []) =>
  Array.from({ length: count }, () => ({ stopReason, toolCalls: tools.map(call) }));

const healthy = {
  loss: 0.1,
  gradNorm: 0.5,
  entropy: 1,
  success: 0.5,
  calls: 1,
  toolFailureShare: 0,
  groupsAllWrong: 0,
} as StepMetrics;
const state = firstState({} as RunFacts, {}, null);

test('rollouts are distrusted when more than half ran out of time, not at half', () => {
  assert.equal(checkRollouts([...ended(2, 'time-limit'), ...ended(2, 'answer')]), null);
  assert.match(checkRollouts([...ended(3, 'time-limit'), ...ended(2, 'answer')])!, /^3 of 5 rollouts ran out of time/);
  assert.equal(checkRollouts([]), null);
});

test('rollouts are distrusted when a tool broke in more than half of those that called one, and it is named', () => {
  const calling = (count: number) => ended(count, 'answer', ['calculator']);
  assert.equal(checkRollouts([...ended(2, 'tool-broken', ['python']), ...calling(2)]), null);
  const reason = checkRollouts([...ended(3, 'tool-broken', ['calculator', 'python']), ...calling(2)])!;
  assert.match(reason, /^The tool python failed in 3 of 5 /);
  // an agent that hardly calls: the few calls that it makes all fail, and nothing could be learned from them
  assert.match(
    checkRollouts([...ended(1, 'tool-broken', ['search']), ...ended(31, 'answer')])!,
    /search failed in 1 of 1/,
  );
});

test('the tool that broke is the last one that was reached', () => {
  const [one] = ended(1, 'tool-broken', ['python', 'search']);
  one.toolCalls[1].status = 'ok';
  assert.match(checkRollouts([one])!, /^The tool python failed/);
});

test('a policy whose log-probabilities are no numbers is refused, with the step of its weights', () => {
  const healthy = { sampledLogprobs: [-1, -0.5], weightsVersion: 7 };
  requireNumbers([healthy, { sampledLogprobs: [], weightsVersion: 7 }]);
  for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY]) {
    assert.throws(() => requireNumbers([healthy, { sampledLogprobs: [-1, bad], weightsVersion: 7 }]), {
      code: 'diverged',
      message: /step 7/,
    });
  }
});

test('the entropy of the first step is remembered and later ones do not replace it', () => {
  const first = checkHealth(state, healthy);
  assert.deepEqual(first, { stop: null, notices: [], state: { startEntropy: 1, collapsedSteps: 0 } });
  const second = checkHealth({ ...state, ...first.state }, { ...healthy, entropy: 0.2 });
  assert.equal(second.state.startEntropy, 1);
});

test('five steps without entropy and success in a row are a collapse; one good step starts the count again', () => {
  const dead = { ...healthy, entropy: 1e-3, success: 0 };
  let now = { ...state, startEntropy: 1 };
  const stops: (string | null)[] = [];
  for (const metrics of [dead, dead, dead, dead, healthy, dead, dead, dead, dead, dead]) {
    const health = checkHealth(now, metrics);
    now = { ...now, ...health.state, startEntropy: 1 };
    stops.push(health.stop);
  }
  assert.deepEqual(stops.slice(0, 9), new Array(9).fill(null));
  assert.match(stops[9]!, /collapsed/);
});

test('low entropy with success is no collapse; without success it is one, also where all advantages are 0', () => {
  const before = { ...state, startEntropy: 1, collapsedSteps: 4 };
  assert.equal(checkHealth(before, { ...healthy, entropy: 1e-3, success: 0.9 }).stop, null);
  // all trajectories of every group alike: the usual end of a collapse, and it leaves no gradient
  assert.match(checkHealth(before, { ...healthy, entropy: 1e-3, success: 0, gradNorm: 0 }).stop!, /collapsed/);
});

for (const [name, bad] of [
  ['loss', { loss: Number.NaN }],
  ['gradient', { gradNorm: Number.POSITIVE_INFINITY }],
] as const) {
  test(`a ${name} that is not finite stops the run and says what to change`, () => {
    assert.match(checkHealth(state, { ...healthy, ...bad }).stop!, /(NaN|Infinity).*train\.learningRate/);
  });
}

test('failing tools and a step without any success are warned about, once each', () => {
  const { notices, stop } = checkHealth(state, { ...healthy, toolFailureShare: 0.75, groupsAllWrong: 1 });
  assert.equal(stop, null);
  assert.deepEqual(
    notices.map(({ code }) => code),
    ['tool-failures', 'no-success'],
  );
  assert.match(notices[0].message, /75 %/);
  assert.deepEqual(checkHealth(state, { ...healthy, toolFailureShare: 0.75, calls: 0.01 }).notices, []);
});

test('a guard ends a run whose success surely fell below a share of the best so far, and one that went too far', () => {
  const frontier = [
    { step: 0, success: 0.3 },
    { step: 4, success: 0.5 },
    { step: 8, success: 0.4 },
  ];
  const point = { success: 0.1, successHigh: 0.24, klToStart: 0.2 };
  const off = { kl: null, success: 0 };
  assert.equal(checkPoint(point, frontier, off), null);
  assert.equal(checkPoint({ ...point, successHigh: 0.26 }, frontier, { ...off, success: 0.5 }), null, 'not surely');
  assert.match(checkPoint(point, frontier, { ...off, success: 0.5 })!, /^Success collapsed: 10.0 % .*50.0 % at step 4/);
  assert.equal(checkPoint({ ...point, success: 0, successHigh: 0.1 }, [], { ...off, success: 1 }), null, 'the start');
  assert.match(checkPoint(point, frontier, { ...off, kl: 0.1 })!, /KL 0.200 .*guard.kl = 0.1/);
  assert.equal(checkPoint(point, frontier, { ...off, kl: 0.2 }), null);
  assert.equal(checkPoint({ ...point, klToStart: null }, frontier, { ...off, kl: 0.1 }), null);
});
