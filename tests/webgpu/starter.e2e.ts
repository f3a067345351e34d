/** The starter agent on WebGPU: by ONNX Runtime's own profile, no node of its training and decoding runs on the CPU. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Graph } from '../../src-main/engine/graph/graph.ts';
import { buildDecodeGraph } from '../../src-main/engine/model/decode-graph.ts';
import { newTrainer } from '../../src-main/engine/run/policy-update.ts';
import { decoderOptions, type Policy, policyFeeds } from '../../src-main/engine/runtime/policy.ts';
import { createSession, type Tensor } from '../../src-main/engine/runtime/session.ts';
import { packBatch } from '../../src-main/engine/train/pack-batch.ts';
import { trainingGraph } from '../../src-main/engine/train/trainer.ts';
import { overUser, temporaryFolder, tinyConfig } from '../run/starter.ts';
import { noDevice } from './device.ts';

/** Who ran the nodes of one run of a graph, from the profile: provider -> operators. */
async function providersOf(
  graph: Graph,
  feeds: Record<string, Tensor>,
  folder: string,
): Promise<Map<string, string[]>> {
  const profilePrefix = join(folder, graph.name);
  const session = await createSession(graph, { threads: 1, provider: 'webgpu', profilePrefix });
  await session.run(feeds);
  session.endProfiling();
  await session.dispose();
  const file = readdirSync(folder).find((name) => name.startsWith(graph.name))!;
  const events: { cat: string; args?: { provider?: string; op_name?: string } }[] = JSON.parse(
    readFileSync(join(folder, file), 'utf8'),
  );
  const ran = new Map<string, string[]>();
  for (const { cat, args } of events) {
    if (cat !== 'Node' || !args?.provider) continue;
    ran.set(args.provider, [...(ran.get(args.provider) ?? []), args.op_name ?? '']);
  }
  return ran;
}

const floats = (shape: number[], values?: number[]): Tensor => {
  const data = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
  if (values) data.set(values);
  return { dtype: 'float32', shape, data };
};
const ints = (shape: number[], values: number[]): Tensor => ({
  dtype: 'int64',
  shape,
  data: BigInt64Array.from(values, BigInt),
});

function decodeFeeds({ config }: Policy, S: number): Record<string, Tensor> {
  const [B, P] = [2, 8];
  const cache = Array.from({ length: config.layers }, (_, layer) =>
    ['key', 'value'].map((kind) => [`cache.${layer}.${kind}`, floats([B, config.kvHeads, P, config.headDim])] as const),
  );
  return {
    ids: ints([B, S], [1, 2, 3, 4, 5, 6].slice(0, B * S)),
    positions: ints([B, S], [0, 1, 2, 2, 3, 4].slice(0, B * S)),
    slots: floats([P], [0, 1, 2, 3, 4, 5, 6, 7]),
    lengths: floats([B, 1, 1, 1], [0, 2]),
    causal: floats([S, S]),
    parts: ints([2], [P, S]),
    rows: ints([B], [S - 1, 2 * S - 1]),
    inverseTemperature: floats([], [1]),
    uniforms: floats([B, 1], [0.3, 0.6]),
    ...Object.fromEntries(cache.flat()),
  };
}

describe('the starter agent leaves no node to the CPU', { skip: noDevice }, () => {
  for (const parameters of ['full', 'lora'] as const) {
    const config = tinyConfig({ provider: 'webgpu', train: { parameters, klCoefficient: 0.01, updatesPerBatch: 2 } });
    const policy = overUser.newPolicy(parameters === 'lora' ? config.train.lora : null, 0);

    test(`training, ${parameters}`, async (t) => {
      const { settings } = newTrainer(config, policy, 1);
      const rows = [12, 9].map((length) => ({
        tokens: Array.from({ length }, (_, i) => 1 + i),
        trained: [4, 5, 6],
        advantage: 1,
        oldLogprobs: [-1, -1, -1],
        referenceLogprobs: [-1, -1, -1],
      }));
      const [batch] = packBatch(rows, [1, 1], settings.microBatchTokens);
      const feeds = { ...policyFeeds(policy), ...batch.feeds };
      const ran = await providersOf(trainingGraph(policy, settings), feeds, temporaryFolder(t));
      assert.deepEqual([...ran.keys()], ['WebGpuExecutionProvider'], `the CPU ran ${ran.get('CPUExecutionProvider')}`);
      assert.ok(ran.get('WebGpuExecutionProvider')!.length > 100, 'the profile is not that of a training graph');
    });

    for (const sampling of ['sampled', 'greedy'] as const) {
      for (const single of [true, false]) {
        test(`decoding ${single ? 'one token' : 'several tokens'} a row, ${parameters}, ${sampling}`, async (t) => {
          const options = { ...decoderOptions(policy, 160, false, 'webgpu'), sampling, single, append: true };
          const feeds = { ...policyFeeds(policy), ...decodeFeeds(policy, single ? 1 : 3) };
          const ran = await providersOf(buildDecodeGraph('decode', options), feeds, temporaryFolder(t));
          assert.deepEqual(
            [...ran.keys()],
            ['WebGpuExecutionProvider'],
            `the CPU ran ${ran.get('CPUExecutionProvider')}`,
          );
        });
      }
    }
  }
});
