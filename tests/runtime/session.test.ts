/**
 * Sessions on the real ONNX Runtime, and the facts about its binding that the engine relies on. They are not promised by
 * its documentation: when one of these tests fails after an upgrade, the engine must change before the version does.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as ort from 'onnxruntime-node';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { onnxBytes } from '../../src-main/engine/graph/onnx-bytes.ts';
import * as ops from '../../src-main/engine/graph/ops.ts';
import {
  createSession,
  openSession,
  runtimeVersion,
  type Session,
  type Tensor,
} from '../../src-main/engine/runtime/session.ts';

const options = { threads: 1 };
const floats = (shape: number[], list: Iterable<number>): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(list),
});

/** doubled = 2 x, and x + y */
function sample(length: number | string): Graph {
  const graph = new Graph('sample');
  const x = graph.input('x', 'float32', [length]);
  const y = graph.input('y', 'float32', [length]);
  graph.output('doubled', ops.mul(x, 2));
  graph.output('sum', ops.add(x, y));
  return graph;
}

async function using<T>(session: Session, use: (session: Session) => Promise<T>): Promise<T> {
  try {
    return await use(session);
  } finally {
    await session.dispose();
  }
}

describe('a session', () => {
  test('runs a checked graph for any lengths and copies out only what is asked for', async () => {
    await using(await createSession(sample('N'), options), async (session) => {
      assert.deepEqual(session.outputNames, ['doubled', 'sum']);
      const all = await session.run({ x: floats([2], [1, 2]), y: floats([2], [10, 20]) });
      assert.deepEqual(all, { doubled: floats([2], [2, 4]), sum: floats([2], [11, 22]) });
      const one = await session.run({ x: floats([3], [1, 2, 3]), y: floats([3], [0, 0, 1]) }, ['sum']);
      assert.deepEqual(one, { sum: floats([3], [1, 2, 4]) });
    });
  });

  test('names a missing input, and one whose length does not fit', async () => {
    await using(await createSession(sample(2), options), async (session) => {
      await assert.rejects(session.run({ x: floats([2], [1, 2]) }), /input y is missing/);
      await assert.rejects(
        session.run({ x: floats([3], [1, 2, 3]), y: floats([2], [1, 2]) }),
        /x.*Got: 3 Expected: 2/s,
      );
    });
  });

  test('carries whole numbers, truths and float64 as what they are', async () => {
    const graph = new Graph('types');
    const [i, d] = [graph.input('i', 'int64', [2]), graph.input('d', 'float64', [2])];
    graph.output('sum', ops.add(i, i));
    graph.output('positive', ops.greater(d, 0));
    graph.output('half', ops.mul(d, 0.5));
    await using(await createSession(graph, options), async (session) => {
      const feeds: Record<string, Tensor> = {
        i: { dtype: 'int64', shape: [2], data: BigInt64Array.of(3n, -(2n ** 60n)) },
        d: { dtype: 'float64', shape: [2], data: Float64Array.of(-1e-300, 3) },
      };
      assert.deepEqual(await session.run(feeds), {
        sum: { dtype: 'int64', shape: [2], data: BigInt64Array.of(6n, -(2n ** 61n)) },
        positive: { dtype: 'bool', shape: [2], data: Uint8Array.of(0, 1) },
        half: { dtype: 'float64', shape: [2], data: Float64Array.of(-5e-301, 1.5) },
      });
    });
  });

  test('a graph that does not pass its check makes no session', async () => {
    const graph = sample(2);
    graph.nodes.reverse();
    graph.nodes[0] = { ...graph.nodes[0], inputs: [new Graph('other').input('z', 'float32', [2]), graph.inputs[0]] };
    await assert.rejects(createSession(graph, options), /z: float32\[2\] is used before it is made/);
  });

  test('what ONNX Runtime refuses is one error that names the graph and says why', async () => {
    await assert.rejects(openSession(Uint8Array.of(1, 2, 3), options, 'broken'), (error: unknown) => {
      assert.ok(error instanceof ParetuneError);
      assert.equal(error.code, 'engine');
      assert.match(error.message, /^ONNX Runtime refused the graph broken: ./);
      return true;
    });
  });

  test('is over when disposed', async () => {
    const session = await createSession(sample(1), options);
    await session.dispose();
    await assert.rejects(session.run({ x: floats([1], [1]), y: floats([1], [1]) }));
  });

  test('products over a length of 0 are zeros, also behind a transpose and a scale', async () => {
    const graph = new Graph('empty');
    const [a, b] = [graph.input('a', 'float32', [2, 'K']), graph.input('b', 'float32', [3, 'K'])];
    graph.output('y', ops.matmul(a, b, { transposeB: true, scale: 0.5 }));
    await using(await createSession(graph, options), async (session) => {
      // memory that an unwritten result would show
      await session.run({ a: floats([2, 2], [1, 2, 3, 4]), b: floats([3, 2], [1, 2, 3, 4, 5, 6]) });
      const { y } = await session.run({ a: floats([2, 0], []), b: floats([3, 0], []) });
      assert.deepEqual(y, floats([2, 3], [0, 0, 0, 0, 0, 0]));
    });
  });

  test('the runtime is the pinned one', () => {
    assert.equal(runtimeVersion, '1.30.0');
  });
});

describe('weights in a file', () => {
  /** y = x W^T with W [2, 3] in the middle of a file, at an offset that no alignment divides */
  function linear(offset: number, location = 'model.safetensors'): Graph {
    const graph = new Graph('linear');
    const weight = graph.initializer('weight', 'float32', [2, 3], { location, offset, length: 24 });
    graph.output('y', ops.gemm(graph.input('x', 'float32', ['N', 3]), weight, { transposeB: true }));
    return graph;
  }

  async function inFolder(use: (folder: string, offset: number) => Promise<void>): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'paretune-session-'));
    try {
      const header = Buffer.from('{"weight":{"dtype":"F32","shape":[2,3],"data_offsets":[2,26]}} ');
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(header.length));
      const weight = Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
      const before = Buffer.concat([length, header, Buffer.of(255, 255)]);
      assert.notEqual(before.length % 4, 0);
      writeFileSync(join(folder, 'model.safetensors'), Buffer.concat([before, weight, Buffer.alloc(7, 255)]));
      await use(folder, before.length);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  for (const prepack of [true, false]) {
    test(`are read from an unaligned offset ${prepack ? 'with' : 'without'} prepacking`, () =>
      inFolder(async (folder, offset) => {
        const session = await createSession(linear(offset), { ...options, prepack, weightsFolder: folder });
        await using(session, async () => {
          const { y } = await session.run({ x: floats([2, 3], [1, 0, 0, 1, 1, 1]) });
          assert.deepEqual(y, floats([2, 2], [1, 4, 6, 15]));
        });
      }));
  }

  test('that lie beyond the end of the file, or in no file, are refused', () =>
    inFolder(async (folder, offset) => {
      const settings = { ...options, weightsFolder: folder };
      await assert.rejects(createSession(linear(offset + 24), settings), /ONNX Runtime refused the graph linear/);
      await assert.rejects(createSession(linear(0, 'other.safetensors'), settings), /ONNX Runtime refused.*other/s);
    }));
});

describe('the binding', () => {
  test('reads inputs in place: a large one costs next to nothing', async () => {
    const graph = new Graph('first');
    const x = graph.input('x', 'float32', ['N']);
    graph.output('first', ops.gather(x, graph.constant('int64', [0])));
    const large = new Float32Array(8 << 20).fill(1);
    const fastest = async (work: () => unknown) => {
      const times: number[] = [];
      for (let i = 0; i < 10; i++) {
        const start = performance.now();
        await work();
        times.push(performance.now() - start);
      }
      return Math.min(...times);
    };
    await using(await createSession(graph, options), async (session) => {
      const run = await fastest(() => session.run({ x: { dtype: 'float32', shape: [large.length], data: large } }));
      const other = new Float32Array(large.length);
      const copy = await fastest(() => other.set(large));
      assert.ok(run < copy / 2, `the run took ${run} ms, a copy of its input ${copy} ms`);
    });
  });

  test('reads views into a larger array at their offset', async () => {
    await using(await createSession(sample('N'), options), async (session) => {
      const all = Float32Array.of(9, 1, 2, 9, 30, 40, 9);
      const { sum } = await session.run({
        x: { dtype: 'float32', shape: [2], data: all.subarray(1, 3) },
        y: { dtype: 'float32', shape: [2], data: all.subarray(4, 6) },
      });
      assert.deepEqual(sum, floats([2], [31, 42]));
    });
  });

  test('reads memory that threads share', async () => {
    await using(await createSession(sample('N'), options), async (session) => {
      const shared = new Float32Array(new SharedArrayBuffer(16), 4, 2);
      shared.set([1, 2]);
      const tensor: Tensor = { dtype: 'float32', shape: [2], data: shared };
      assert.deepEqual((await session.run({ x: tensor, y: tensor })).sum, floats([2], [2, 4]));
    });
  });

  test('gives outputs as copies, which no later run and no input shares', async () => {
    const graph = sample('N');
    graph.output('x', graph.inputs[0]);
    await using(await createSession(graph, options), async (session) => {
      const x = floats([2], [1, 2]);
      const first = await session.run({ x, y: x });
      first.x.data[0] = 100;
      assert.equal(x.data[0], 1);
      await session.run({ x: floats([2], [7, 7]), y: floats([2], [7, 7]) });
      assert.deepEqual(first.sum, floats([2], [2, 4]));
      assert.deepEqual(first.doubled, floats([2], [2, 4]));
    });
  });

  test('ignores a feed with an unknown name, and so does a session', async () => {
    const x = new ort.Tensor('float32', Float32Array.of(1), [1]);
    const inner = await ort.InferenceSession.create(onnxBytes(sample(1)), { logSeverityLevel: 3 });
    const raw = await inner.run({ x, y: x, unknown: x });
    await inner.release();
    assert.deepEqual(Object.keys(raw), ['doubled', 'sum']);
    await using(await createSession(sample(1), options), async (session) => {
      const one = floats([1], [1]);
      assert.deepEqual((await session.run({ x: one, y: one, unknown: one })).sum, floats([1], [2]));
    });
  });
});
