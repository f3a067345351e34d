import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import * as ops from '../../src-main/engine/graph/ops.ts';
import { gradientsOf } from '../../src-main/engine/graph/reverse.ts';
import { graphText } from '../../src-main/engine/graph/text.ts';

test('a small graph and its gradient read as expected', () => {
  const graph = new Graph('linear');
  const x = graph.input('x', 'float32', ['B', 3]);
  const weight = graph.initializer('weight', 'float32', [2, 3], {
    location: 'model.safetensors',
    offset: 96,
    length: 24,
  });
  const bias = graph.input('bias', 'float32', [2]);
  const y = ops.add(ops.gemm(x, weight, { transposeB: true, scale: 0.5 }), bias);
  const loss = ops.reduceMean(ops.mul(y, y), undefined, false);
  graph.output('loss', loss);
  graph.output('dBias', gradientsOf(loss, [bias])[0]);
  assert.equal(graphText(graph), snapshot);
});

test('equal constants are one tensor, and different ones never are', () => {
  const graph = new Graph('constants');
  const list = [0, -0, 1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const made = list.map((content) => graph.constant('float32', content));
  assert.equal(new Set(made).size, list.length);
  assert.deepEqual(
    list.map((content) => graph.constant('float32', content)),
    made,
  );
  const others = [graph.constant('float32', [1]), graph.constant('float64', 1), graph.constant('float32', [1, 1])];
  assert.equal(new Set([...made, ...others]).size, list.length + 3);
});

const snapshot = `graph linear
input x: float32[B, 3]
input bias: float32[2]
const weight: float32[2, 3] @ model.safetensors:96
const const_4: float32[] = 1
const const_5: int64[2] = 1, 1
const const_9: int64[1] = 2
const const_12: int64[0]
const const_21: int64[1] = 0
Gemm_0: float32[B, 2] = Gemm(x, weight) transB=1 alpha=0.5
Add_1: float32[B, 2] = Add(Gemm_0, bias)
Mul_2: float32[B, 2] = Mul(Add_1, Add_1)
ReduceMean_3: float32[] = ReduceMean(Mul_2) keepdims=0
Reshape_6: float32[1, 1] = Reshape(const_4, const_5)
Shape_7: int64[1] = Shape(x) start=0 end=1
Cast_8: float32[1] = Cast(Shape_7) to=1
Cast_10: float32[1] = Cast(const_9) to=1
Mul_11: float32[1] = Mul(Cast_8, Cast_10)
Reshape_13: float32[] = Reshape(Mul_11, const_12)
Reciprocal_14: float32[] = Reciprocal(Reshape_13)
Mul_15: float32[1, 1] = Mul(Reshape_6, Reciprocal_14)
Concat_16: int64[2] = Concat(Shape_7, const_9) axis=0
Expand_17: float32[B, 2] = Expand(Mul_15, Concat_16)
Mul_18: float32[B, 2] = Mul(Expand_17, Add_1)
Mul_19: float32[B, 2] = Mul(Expand_17, Add_1)
Add_20: float32[B, 2] = Add(Mul_18, Mul_19)
ReduceSum_22: float32[1, 2] = ReduceSum(Add_20, const_21) keepdims=1
Reshape_23: float32[2] = Reshape(ReduceSum_22, const_9)
output loss = ReduceMean_3: float32[]
output dBias = Reshape_23: float32[2]`;
