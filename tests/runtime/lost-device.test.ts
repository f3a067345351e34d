/** Errors of opening a session on a GPU: the GPU's, where it does nothing else any more, or ours. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { exp } from '../../src-main/engine/graph/ops.ts';
import { createSession } from '../../src-main/engine/runtime/session.ts';
import { fakeDevice, faultWords } from '../run/fake-device.ts';

/** Opens a graph on a GPU that refuses it, and all that is opened after it where `forGood`. */
function openOn(t: TestContext, words: string, forGood: boolean) {
  let opened = 0;
  fakeDevice(
    t,
    () => {},
    () => {
      if (opened++ === 0 || forGood) throw new Error(words);
    },
  );
  const graph = new Graph('ours');
  graph.output('y', exp(graph.input('x', 'float32', [2])));
  return createSession(graph, { threads: 1, provider: 'webgpu' });
}

test('a GPU that cannot even add two numbers any more was lost', async (t) => {
  const opened = openOn(t, faultWords.lostBefore, true);
  await assert.rejects(opened, { code: 'device', message: /GPU \(webgpu\) failed in the graph ours: .*device lost/s });
});

test('a graph that is refused by a GPU that works is an error of ours', async (t) => {
  const opened = openOn(t, 'This is an invalid model.', false);
  await assert.rejects(opened, { code: 'engine', message: /refused the graph ours: This is an invalid model/ });
});

test('want of memory stays what it is', async (t) => {
  await assert.rejects(openOn(t, faultWords.memory, true), { code: 'memory' });
});
