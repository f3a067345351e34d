import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Death, engineLane } from '../../src-main/app/engine-lane.ts';
import { type FakeEngine, fakeEngine } from './fake-engine.ts';

function setting(silenceMs = 60_000) {
  const engines: FakeEngine[] = [];
  const deaths: Death[] = [];
  const silences: number[] = [];
  let ready = 0;
  const lane = engineLane({
    start: () => {
      engines.push(fakeEngine());
      return engines[engines.length - 1];
    },
    silenceMs,
    onReady: () => {
      ready++;
    },
    onSilence: (ms) => silences.push(ms),
    onDeath: (death) => deaths.push(death),
  });
  return { lane, engines, deaths, silences, ready: () => ready };
}

test('the first question starts the process, the first sign of life makes it ready', async () => {
  const { lane, engines, ready } = setting();
  assert.equal(lane.alive(), false);
  const { result } = lane.ask('runs', { a: undefined } as never);
  assert.deepEqual(engines[0].sent, [{ kind: 'command', id: 0, command: 'runs', payload: {} }]);
  assert.equal(ready(), 0);
  engines[0].say({ kind: 'heartbeat' });
  engines[0].say({ kind: 'heartbeat' });
  assert.equal(ready(), 1);
  engines[0].say({ kind: 'result', id: 0, result: 7 });
  assert.equal(await result, 7);
  await lane.end(0);
});

test('a death rejects all that waits, says so once, and the next question starts another', async () => {
  const { lane, engines, deaths } = setting();
  const all = [lane.ask('a', {}), lane.ask('b', {})];
  engines[0].die(1, 'terminate called after std::bad_alloc');
  for (const { result } of all) await assert.rejects(result, { code: 'memory' });
  assert.equal(deaths.length, 1);
  assert.equal(deaths[0].memory, true);
  const { result } = lane.ask('c', {});
  assert.equal(engines.length, 2);
  engines[0].say({ kind: 'result', id: 2, result: 'from the grave' });
  engines[1].say({ kind: 'result', id: 2, result: 'alive' });
  assert.equal(await result, 'alive');
  await lane.end(0);
});

test('a process that is silent while somebody waits is ended, one that nobody asks is not', async () => {
  const { lane, engines, deaths, silences } = setting(200);
  lane.wake();
  await sleep(350);
  assert.equal(lane.alive(), true);
  const { result } = lane.ask('a', {});
  await assert.rejects(result, { code: 'engine', message: /no sign of life/ });
  assert.equal(engines[0].killed, true);
  assert.equal(silences.length, 1);
  assert.equal(deaths[0].asked, false);
});

test('the end asks, waits and then kills, and is no death to report', async () => {
  const { lane, engines, deaths } = setting();
  const { result } = lane.ask('tune', {});
  const end = lane.end(2000);
  assert.deepEqual(engines[0].sent[1], { kind: 'stop', id: 0 });
  assert.equal(engines[0].killed, false);
  engines[0].say({ kind: 'result', id: 0, result: 'saved' });
  assert.equal(await result, 'saved');
  await end;
  assert.equal(engines[0].killed, true);
  assert.equal(deaths[0].asked, true);
});

test('the end does not wait for ever', async () => {
  const { lane, engines } = setting();
  const { result } = lane.ask('tune', {});
  const refused = assert.rejects(result, { code: 'interrupted' });
  await lane.end(100);
  await refused;
  assert.equal(engines[0].killed, true);
});

test('parts of an answer are handed on in order, before the answer', async () => {
  const { lane, engines } = setting();
  const heard: unknown[] = [];
  const { result } = lane.ask('chat', {}, { onItem: (item) => heard.push(item) });
  const id = engines[0].idOf('chat');
  for (const item of [1, 2]) engines[0].say({ kind: 'item', id, item });
  engines[0].say({ kind: 'item', id: id + 1, item: 'of another' });
  engines[0].say({ kind: 'result', id, result: 3 });
  assert.equal(await result, 3);
  assert.deepEqual(heard, [1, 2]);
  await lane.end(0);
});
