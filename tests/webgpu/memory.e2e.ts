/** A buffer that the device has no memory for, really asked for: the error says so, and the device works on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { filled, mul, reduceSum } from '../../src-main/engine/graph/ops.ts';
import { createSession, type Tensor } from '../../src-main/engine/runtime/session.ts';
import { noDevice } from './device.ts';

test('want of memory on the device is named as that, and smaller work still runs', { skip: noDevice }, async () => {
  const x: Tensor = { dtype: 'float32', shape: [], data: Float32Array.of(1) };
  const sumOf = async (rows: number) => {
    const graph = new Graph('large');
    const large = mul(filled(graph, 'float32', [rows, 2 ** 20], 1), graph.input('x', 'float32', []));
    graph.output('sum', reduceSum(large, undefined, false));
    const session = await createSession(graph, { threads: 1, provider: 'webgpu' });
    try {
      return (await session.run({ x })).sum.data[0];
    } finally {
      await session.dispose();
    }
  };
  // 64 GiB: beyond what any buffer of WebGPU may be
  await assert.rejects(sumOf(2 ** 12), { code: /memory|device/, message: /GPU \(webgpu\)/ });
  // 1.2 GiB in one buffer: more than the software device has, and than many allow
  const some = await sumOf(300).catch((error) => error as ParetuneError);
  if (some instanceof ParetuneError)
    assert.deepEqual([some.code, /microBatchTokens/.test(some.hint)], ['memory', true]);
  else assert.equal(some, 300 * 2 ** 20);
  if (process.env.VK_DRIVER_FILES?.includes('swiftshader')) assert.ok(some instanceof ParetuneError);
  assert.equal(await sumOf(1), 2 ** 20);
});
