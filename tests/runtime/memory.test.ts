import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { filled, mul, reduceSum } from '../../src-main/engine/graph/ops.ts';
import { createSession } from '../../src-main/engine/runtime/session.ts';

test('a graph that needs more memory than there is ends in one error that says what to make smaller', async () => {
  const graph = new Graph('huge');
  const x = graph.input('x', 'float32', []);
  const huge = mul(filled(graph, 'float32', [2 ** 20, 2 ** 24], 1), x);
  graph.output('sum', reduceSum(huge, undefined, false));
  const attempt = async () => {
    const session = await createSession(graph, { threads: 1 });
    await session.run({ x: { dtype: 'float32', shape: [], data: Float32Array.of(1) } });
  };
  await assert.rejects(attempt, (error) => {
    assert.ok(error instanceof ParetuneError, String(error));
    assert.equal(error.code, 'memory');
    assert.match(error.hint, /rolloutBatch/);
    return true;
  });
});
