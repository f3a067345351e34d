import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { dequantize4, quantize4 } from '../../src-main/engine/model/quantize.ts';
import { exportModel } from '../../src-main/engine/run/export-model.ts';
import { exportVariants } from '../../src-main/engine/run/export-variants.ts';
import { openSession, type Tensor } from '../../src-main/engine/runtime/session.ts';
import { overUser, temporaryFolder } from '../run/starter.ts';

const policy = overUser.newPolicy(null, 0);
const { config } = overUser;

test('an exported folder computes what the engine computes: exactly enough in fp32, nearly in the others', async (t) => {
  const to = join(temporaryFolder(t), 'agent');
  const { checks } = await exportModel(overUser, policy, {
    to,
    target: 'all',
    variants: exportVariants,
    card: '# card',
    threads: 1,
  });
  const [fp32, fp16, q4] = checks;
  for (const { variant, storedDifference } of checks)
    assert.ok(storedDifference < 1e-3, `${variant}: ${storedDifference}`);
  assert.ok(fp32.logitDifference < 1e-4, `fp32 differs by ${fp32.logitDifference}`);
  assert.equal(fp32.greedyAgreement, 1);
  assert.ok(fp16.logitDifference < 0.05, `fp16 differs by ${fp16.logitDifference}`);
  assert.ok(q4.logitDifference > fp16.logitDifference, '4 bits cost more than 16');
  const genai = JSON.parse(readFileSync(join(to, 'genai_config.json'), 'utf8'));
  assert.equal(genai.model.decoder.filename, 'onnx/model.onnx');
  const json = JSON.parse(readFileSync(join(to, 'config.json'), 'utf8'));
  assert.deepEqual(Object.keys(json['transformers.js_config'].use_external_data_format), [
    'model.onnx',
    'model_fp16.onnx',
    'model_q4.onnx',
  ]);
  for (const name of [
    'tokenizer.json',
    'tokenizer_config.json',
    'chat_template.jinja',
    'generation_config.json',
    'README.md',
  ]) {
    assert.ok(existsSync(join(to, name)), name);
  }
});

test('padding on either side changes nothing', async (t) => {
  const to = join(temporaryFolder(t), 'agent');
  await exportModel(overUser, policy, { to, target: 'transformers.js', variants: ['fp32'], card: '', threads: 1 });
  assert.ok(!existsSync(join(to, 'genai_config.json')));
  const session = await openSession(join(to, 'onnx', 'model.onnx'), { threads: 1 }, 'export');
  const prompt = [257, 51, 52, 42, 55, 258];
  const last = async (ids: number[], mask: number[], at: number) => {
    const int = (values: number[]): Tensor => ({
      dtype: 'int64',
      shape: [1, values.length],
      data: BigInt64Array.from(values, BigInt),
    });
    const past = Object.fromEntries(
      Array.from({ length: config.layers }, (_, layer) =>
        ['key', 'value'].map((kind) => [
          `past_key_values.${layer}.${kind}`,
          { dtype: 'float32', shape: [1, config.kvHeads, 0, config.headDim], data: new Float32Array(0) } as Tensor,
        ]),
      ).flat(),
    );
    const { logits } = await session.run({ ...past, input_ids: int(ids), attention_mask: int(mask) });
    return (logits.data as Float32Array).slice(at * config.vocabSize, (at + 1) * config.vocabSize);
  };
  const plain = await last(
    prompt,
    prompt.map(() => 1),
    5,
  );
  const left = await last([256, 256, ...prompt], [0, 0, 1, 1, 1, 1, 1, 1], 7);
  const right = await last([...prompt, 256, 256], [1, 1, 1, 1, 1, 1, 0, 0], 5);
  await session.dispose();
  for (const padded of [left, right]) {
    for (const [i, value] of padded.entries()) assert.ok(Math.abs(value - plain[i]) < 1e-4);
  }
});

test('a folder that is not empty is left alone', async (t) => {
  const to = temporaryFolder(t);
  writeFileSync(join(to, 'mine.txt'), 'mine');
  await assert.rejects(
    exportModel(overUser, policy, { to, target: 'all', variants: ['fp32'], card: '', threads: 1 }),
    (error) => error instanceof ParetuneError && error.code === 'usage',
  );
  assert.equal(readFileSync(join(to, 'mine.txt'), 'utf8'), 'mine');
});

test('4 bits are at most half a step away from every weight, whatever the row length', () => {
  const random = randomStream(0, 'quantize');
  for (const columns of [32, 96, 40, 7]) {
    const data = Float32Array.from({ length: 3 * columns }, () => random.normal());
    const quantized = quantize4(data, 3, columns);
    const back = dequantize4(quantized, 3, columns);
    const blocks = Math.ceil(columns / 32);
    for (const [i, value] of data.entries()) {
      const scale = Math.abs(quantized.scales[Math.floor(i / columns) * blocks + Math.floor((i % columns) / 32)]);
      // the far end of the range has one level less
      assert.ok(Math.abs(value - back[i]) <= scale * 1.0001, `${value} became ${back[i]}, step ${scale}`);
    }
  }
});
