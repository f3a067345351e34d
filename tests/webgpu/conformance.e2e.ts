/**
 * Every operator and gradient rule on WebGPU, the CPU forbidden, against the CPU in float64; and what whole graphs leave
 * to the CPU, by the capability table and by ONNX Runtime itself.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fallbacksOf, formOf, oneNodeGraph } from '../../src-main/engine/runtime/capabilities.ts';
import { createSession } from '../../src-main/engine/runtime/session.ts';
import { webgpuForms } from '../../src-main/engine/runtime/webgpu-forms.ts';
import { gradientCases, shapesOf } from '../graph/gradient-cases.ts';
import { evaluate, gradientGraph, numbersOf, randomTensor, relativeError } from '../graph/numeric.ts';
import { noDevice } from './device.ts';
import { ourGraphs } from './our-graphs.ts';

const onGpu = { threads: 1, provider: 'webgpu', strict: true } as const;
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
    for (const graph of ourGraphs()) {
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

  test('a whole graph of fixed lengths is refused exactly where the table names a node', async () => {
    for (const graph of ourGraphs(true)) {
      const names = fallbacksOf(graph, webgpuForms);
      const session = createSession(graph, onGpu);
      if (names.length === 0) await (await session).dispose();
      else await assert.rejects(session, refused, `${graph.name}: ${names.map(({ form }) => form).join('; ')}`);
    }
  });

  test('decoding graphs of fixed lengths leave nothing to the CPU', () => {
    const decoding = ourGraphs(true).filter(({ name }) => name.startsWith('decode'));
    assert.deepEqual(
      decoding.flatMap((graph) => fallbacksOf(graph, webgpuForms)),
      [],
    );
  });
});
