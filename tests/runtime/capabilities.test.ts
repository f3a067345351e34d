/** The capability table without a device: our graphs leave nothing to the CPU, and what would fall back is named. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { hostIndices } from '../../src-main/engine/graph/host-indices.ts';
import { matmul } from '../../src-main/engine/graph/ops.ts';
import { describeFallbacks, fallbacksOf } from '../../src-main/engine/runtime/capabilities.ts';
import { requireBuiltIn } from '../../src-main/engine/runtime/providers.ts';
import { runtimeVersion } from '../../src-main/engine/runtime/session.ts';
import { webgpuForms } from '../../src-main/engine/runtime/webgpu-forms.ts';
import { ourGraphs } from '../webgpu/our-graphs.ts';

test('the table was made with the ONNX Runtime that is installed', () => {
  assert.equal(webgpuForms.runtimeVersion, runtimeVersion);
});

test('training and decoding on WebGPU leave nothing to the CPU once their indices are computed before the run', () => {
  for (const graph of ourGraphs()) {
    // of one token a row there is no length to compute
    const ids = graph.inputs.find(({ name }) => name === 'ids');
    if (ids && ids.shape[1] !== 1)
      assert.ok(fallbacksOf(graph, webgpuForms).length > 0, `${graph.name} has nothing to take off`);
    assert.deepEqual(fallbacksOf(hostIndices(graph).graph, webgpuForms), [], graph.name);
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

test('what falls back is told in one line, with the first five nodes by name', () => {
  const nodes = Array.from({ length: 7 }, (_, i) => ({
    name: `Foo_${i}`,
    form: 'Foo(float32) -> float32',
    indices: false,
  }));
  const line = describeFallbacks('webgpu', 'train', nodes);
  assert.match(line, /webgpu leaves 7 nodes of the graph train to the CPU.*Foo_0 \(Foo\(float32\).*Foo_4.* and 2 more/);
  assert.doesNotMatch(line, /Foo_5/);
});

test('a provider that leaves nodes only of a whole graph to the CPU is said to do so', () => {
  assert.match(
    describeFallbacks('cuda', 'train', []),
    /^cuda leaves nodes of the graph train to the CPU, none of those/,
  );
});
