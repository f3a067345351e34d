/** The capability table without a device: what our graphs leave to the CPU is whole numbers only, and is named. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { matmul } from '../../src-main/engine/graph/ops.ts';
import { fallbacksOf } from '../../src-main/engine/runtime/capabilities.ts';
import { requireBuiltIn } from '../../src-main/engine/runtime/providers.ts';
import { runtimeVersion } from '../../src-main/engine/runtime/session.ts';
import { webgpuForms } from '../../src-main/engine/runtime/webgpu-forms.ts';
import { ourGraphs } from '../webgpu/our-graphs.ts';

test('the table was made with the ONNX Runtime that is installed', () => {
  assert.equal(webgpuForms.runtimeVersion, runtimeVersion);
});

test('training and decoding on WebGPU leave only whole numbers to the CPU', () => {
  for (const graph of ourGraphs()) {
    const floats = fallbacksOf(graph, webgpuForms).filter(({ indices }) => !indices);
    assert.deepEqual(floats, [], graph.name);
  }
});

test('a node that would fall back is named with its form', () => {
  const graph = new Graph('g');
  const product = matmul(graph.input('a', 'float32', [2, 3]), graph.input('b', 'float32', [3, 2]), { fused: true });
  assert.deepEqual(fallbacksOf(graph, webgpuForms), [
    { name: product.name, form: 'com.microsoft.FusedMatMul(float32, float32) -> float32', indices: false },
  ]);
});

test('a provider that the system has not is refused with where it exists and what there is', () => {
  assert.throws(() => requireBuiltIn('dml', ['cpu', 'webgpu'], 'linux x64'), {
    code: 'unsupported',
    message:
      /dml is not part of ONNX Runtime on this system \(linux x64\)\. It exists on Windows; here there are: cpu, webgpu/,
    hint: /--provider cpu/,
  });
  assert.doesNotThrow(() => requireBuiltIn('cpu', ['cpu']));
});
