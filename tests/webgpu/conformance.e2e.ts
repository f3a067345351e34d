/**
 * Every operator and gradient rule on WebGPU, the CPU forbidden, against the CPU in float64; and what whole graphs leave
 * to the CPU, by the capability table and by ONNX Runtime itself.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { hostIndices } from '../../src-main/engine/graph/host-indices.ts';
import { add, matmul } from '../../src-main/engine/graph/ops.ts';
import { formOf, oneNodeGraph } from '../../src-main/engine/runtime/capabilities.ts';
import { createSession } from '../../src-main/engine/runtime/session.ts';
import { webgpuForms } from '../../src-main/engine/runtime/webgpu-forms.ts';
import { gradientCases, shapesOf } from '../graph/gradient-cases.ts';
import { evaluate, gradientGraph, numbersOf, randomTensor, relativeError } from '../graph/numeric.ts';
import { noDevice } from './device.ts';
import { ourGraphs } from './our-graphs.ts';

const onGpu = { threads: 1, provider: 'webgpu' } as const;
const refused = /fallback to CPU EP|Could not find an implementation/;

/** FusedMatMul has no kernel; the lines of Cast are about float64, which WebGPU has not. */
const missing = new Set(['FusedMatMul', 'Cast']);

describe('gradient rules on WebGPU', { skip: noDevice }, () => {
  for (const [op, written, f, options = {}] of gradientCases) {
    if (missing.has(op)) continue;
    test(`${op} of ${written} equals float64`, async () => {
      const shapes = shapesOf(written);
      const { graph, result } = gradientGraph(shapes, f, 'float32');
      const exact = gradientGraph(shapes, options.like ?? f, 'float64').graph;
      const feeds = (dtype: 'float32' | 'float64') =>
        Object.fromEntries([
          ['weights', randomTensor(dtype, result.shape as number[], 'weights')],
          ...shapes.map((shape, i) => [`x${i}`, randomTensor(dtype, shape as number[], `x${i}`, options.domain)]),
        ]);
      const expected = await evaluate(exact, feeds('float64'));
      const session = await createSession(graph, onGpu);
      const outputs = await session.run(feeds('float32'));
      await session.dispose();
      for (const [name, tensor] of Object.entries(expected)) {
        const error = relativeError(numbersOf(outputs[name]), numbersOf(tensor));
        assert.ok(error < 5e-6, `${name} is off by ${error}`);
      }
    });
  }

  test('FusedMatMul, left out above, is refused when the CPU is forbidden', async () => {
    for (const [op, written, f] of gradientCases.filter(([name]) => name === 'FusedMatMul')) {
      const { graph } = gradientGraph(shapesOf(written), f, 'float32');
      await assert.rejects(createSession(graph, onGpu), refused, `${op} of ${written} is not refused`);
    }
  });
});

describe('the capability table of WebGPU', { skip: noDevice }, () => {
  test('says of every form in our graphs what the device says', async () => {
    const seen = new Set<string>();
    for (const { graph } of ourGraphs().map(hostIndices)) {
      for (const node of graph.nodes) {
        const form = formOf(node);
        if (seen.has(form)) continue;
        seen.add(form);
        const session = createSession(oneNodeGraph(graph, node), onGpu);
        if (webgpuForms.forms[form]) await (await session).dispose();
        else await assert.rejects(session, refused, `${form} runs on WebGPU, the table denies it`);
      }
    }
    assert.deepEqual([...seen].sort(), Object.keys(webgpuForms.forms).sort());
  });

  test('every graph, of free or of fixed lengths, is accepted with the CPU forbidden', async () => {
    for (const graph of [...ourGraphs(), ...ourGraphs(true)]) await (await createSession(graph, onGpu)).dispose();
  });

  test('what the CPU must compute is refused, or named to whoever allows it', async () => {
    const graph = new Graph('with a FusedMatMul');
    const [a, b] = [graph.input('a', 'float32', [2, 2]), graph.input('b', 'float32', [2, 2])];
    const product = matmul(add(a, b), b, { fused: true });
    graph.output('y', product);
    await assert.rejects(createSession(graph, onGpu), refused);
    const told: unknown[] = [];
    const session = await createSession(graph, { ...onGpu, onFallback: (...given) => told.push(given) });
    const tensor = (...data: number[]) => ({ dtype: 'float32', shape: [2, 2], data: Float32Array.from(data) }) as const;
    const { y } = await session.run({ a: tensor(1, 2, 3, 4), b: tensor(1, 0, 0, 1) });
    await session.dispose();
    assert.deepEqual(numbersOf(y), [2, 2, 3, 5]);
    const form = 'com.microsoft.FusedMatMul(float32, float32) -> float32';
    assert.deepEqual(told, [['with a FusedMatMul', [{ name: product.name, form, indices: false }]]]);
  });
});
