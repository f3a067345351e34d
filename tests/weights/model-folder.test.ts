import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import { type ErrorCode, ParetuneError } from '../../src-main/contract/errors.ts';
import { parseModelConfig, toConfigJson } from '../../src-main/engine/model/model-config.ts';
import { weightSpecs } from '../../src-main/engine/model/weight-specs.ts';
import { type Adapter, readAdapter, writeAdapter } from '../../src-main/engine/weights/adapter.ts';
import { hashWeights, openModelFolder } from '../../src-main/engine/weights/model-folder.ts';
import { type FloatTensor, writeSafetensors } from '../../src-main/engine/weights/safetensors.ts';
import { goldenMissing, goldenPath } from '../golden/fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'paretune-models-'));
after(() => rmSync(root, { recursive: true }));
const folder = join(root, 'model');

const config = parseModelConfig({
  model_type: 'qwen2',
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 12,
  vocab_size: 10,
  max_position_embeddings: 32,
  tie_word_embeddings: true,
  eos_token_id: 2,
});

function makeWeights(): Map<string, FloatTensor> {
  return new Map(
    weightSpecs(config).map(({ name, shape }) => {
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i / 4 - name.length);
      return [name, { shape, data }];
    }),
  );
}

const writeJson = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value));
const write = (weights: Map<string, FloatTensor>, name = 'model.safetensors') =>
  writeSafetensors(join(folder, name), weights);

function refused(code: ErrorCode, message: RegExp, action: () => unknown = () => openModelFolder(folder)): void {
  assert.throws(action, (error) => {
    assert.ok(error instanceof ParetuneError, String(error));
    assert.match(error.message, message);
    return error.code === code;
  });
}

beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  writeJson('config.json', toConfigJson(config));
  write(makeWeights());
});

describe('openModelFolder', () => {
  test('reads config, weights and hash of a single file', () => {
    const model = openModelFolder(folder);
    assert.deepEqual(model.config, config);
    assert.deepEqual(model.readWeights(), makeWeights());
    assert.equal(model.weightsHash(), hashWeights(makeWeights()));
    assert.deepEqual([model.tokenizerJson, model.tokenizerConfig, model.chatTemplate], [null, {}, null]);
    const other = makeWeights();
    other.get('model.norm.weight')!.data[3] += 1e-6;
    assert.notEqual(hashWeights(other), model.weightsHash());
  });

  test('reads shards of an index as the same model', () => {
    const single = openModelFolder(folder).weightsHash();
    const weights = [...makeWeights()];
    rmSync(join(folder, 'model.safetensors'));
    const map: Record<string, string> = {};
    for (const [shard, part] of [weights.slice(0, 5), weights.slice(5)].entries()) {
      const name = `model-0000${shard + 1}-of-00002.safetensors`;
      write(new Map(part), name);
      for (const [tensor] of part) map[tensor] = name;
    }
    writeJson('model.safetensors.index.json', { metadata: { total_size: 1 }, weight_map: map });
    assert.equal(openModelFolder(folder).weightsHash(), single);
    writeJson('model.safetensors.index.json', {
      weight_map: { ...map, 'model.norm.weight': 'model-00001-of-00002.safetensors' },
    });
    refused('bad-file', /no tensor model.norm.weight, which the index says/);
    rmSync(join(folder, 'model-00002-of-00002.safetensors'));
    refused('not-found', /shard model-00002-of-00002.safetensors is missing/);
  });

  test('refuses index entries that leave the folder', () => {
    cpSync(join(folder, 'model.safetensors'), join(root, 'outside.safetensors'));
    rmSync(join(folder, 'model.safetensors'));
    for (const name of [
      '../outside.safetensors',
      '..\\outside.safetensors',
      join(root, 'outside.safetensors'),
      '..',
      '',
      'a\0b',
      'C:x',
    ]) {
      writeJson('model.safetensors.index.json', { weight_map: { 'model.norm.weight': name } });
      refused('bad-file', /allowed are bare file names/);
    }
    writeJson('model.safetensors.index.json', { weight_map: ['x'] });
    refused('bad-file', /no weight_map/);
  });

  test('refuses links out of the folder, and follows links within it', { skip: process.platform === 'win32' }, () => {
    const outside = join(root, 'target.safetensors');
    renameSync(join(folder, 'model.safetensors'), outside);
    symlinkSync(outside, join(folder, 'model.safetensors'));
    refused('bad-file', /a link that leads out/);
    rmSync(join(folder, 'model.safetensors'));
    renameSync(outside, join(folder, 'other.safetensors'));
    symlinkSync('other.safetensors', join(folder, 'model.safetensors'));
    assert.equal(openModelFolder(folder).readWeights().size, makeWeights().size);
  });

  test('names missing, unknown and misshaped tensors, at most five', () => {
    const weights = makeWeights();
    weights.set('model.norm.weight', { shape: [4, 2], data: new Float32Array(8) });
    write(weights);
    refused('bad-file', /misshaped are model.norm.weight \[4,2\] instead of \[8\]/);
    weights.set('model.more.weight', { shape: [1], data: new Float32Array(1) });
    write(weights);
    refused('bad-file', /unknown are model.more.weight/);
    for (const name of [...weights.keys()].filter((name) => name.includes('self_attn'))) weights.delete(name);
    write(weights);
    refused('bad-file', /missing are (model\.layers\.0\.self_attn\.[^,]*, ){4}[^,]* and 2 more/);
  });

  test('ignores rotary buffers, and a tied head only if it is one', () => {
    const weights = makeWeights();
    const embedding = weights.get('model.embed_tokens.weight')!;
    weights.set('model.layers.0.self_attn.rotary_emb.inv_freq', { shape: [2], data: new Float32Array(2) });
    weights.set('lm_head.weight', { shape: embedding.shape, data: embedding.data.slice() });
    write(weights);
    assert.deepEqual(openModelFolder(folder).readWeights(), makeWeights());
    weights.get('lm_head.weight')!.data[7] += 1;
    write(weights);
    refused('bad-file', /ties its head/, () => openModelFolder(folder).readWeights());
  });

  test('prefers chat_template.jinja, then the template for tools, then the default', () => {
    const named = (...names: string[]) => ({ chat_template: names.map((name) => ({ name, template: `for ${name}` })) });
    writeJson('tokenizer_config.json', { chat_template: 'plain' });
    assert.equal(openModelFolder(folder).chatTemplate, 'plain');
    writeJson('tokenizer_config.json', named('default', 'rag'));
    assert.equal(openModelFolder(folder).chatTemplate, 'for default');
    writeJson('tokenizer_config.json', named('default', 'tool_use'));
    assert.equal(openModelFolder(folder).chatTemplate, 'for tool_use');
    writeFileSync(join(folder, 'chat_template.jinja'), 'from file');
    assert.equal(openModelFolder(folder).chatTemplate, 'from file');
    rmSync(join(folder, 'chat_template.jinja'));
    writeJson('tokenizer_config.json', named('rag'));
    refused('bad-file', /chat_template/);
  });

  test('takes stop tokens from generation_config.json first', () => {
    assert.deepEqual(openModelFolder(folder).eosTokenIds, [2]);
    writeJson('generation_config.json', { eos_token_id: [5, 2] });
    assert.deepEqual(openModelFolder(folder).eosTokenIds, [5, 2]);
  });

  test('says which file is missing or damaged', () => {
    refused('not-found', /no folder/, () => openModelFolder(join(root, 'none')));
    writeFileSync(join(folder, 'tokenizer.json'), '{"model": ');
    refused('bad-file', /tokenizer\.json is not valid JSON/);
    writeFileSync(join(folder, 'tokenizer.json'), Uint8Array.of(0xff, 0xfe));
    refused('bad-file', /UTF-8/);
    rmSync(join(folder, 'tokenizer.json'));
    writeJson('tokenizer_config.json', [1]);
    refused('bad-file', /tokenizer_config.json is not a JSON object/);
    rmSync(join(folder, 'model.safetensors'));
    refused('not-found', /neither model.safetensors nor/);
    rmSync(join(folder, 'config.json'));
    refused('not-found', /no config.json/);
  });

  for (const arch of ['llama', 'llama-tied', 'qwen2', 'qwen3']) {
    const missing = goldenMissing(`models/${arch}/model.safetensors`);
    test(`reads the golden model ${arch} in old and new config keys, and its adapter`, { skip: missing }, () => {
      const source = goldenPath(`models/${arch}`);
      const model = openModelFolder(source);
      assert.equal(model.readWeights().size, weightSpecs(model.config).length);
      cpSync(join(source, 'model.safetensors'), join(folder, 'model.safetensors'));
      cpSync(join(source, 'config_legacy.json'), join(folder, 'config.json'));
      assert.deepEqual(openModelFolder(folder).config, model.config);
      const adapter = readAdapter(join(source, 'lora'), model.config);
      assert.deepEqual([adapter.rank, adapter.alpha, adapter.tensors.size], [4, 8, 2 * 7 * model.config.layers]);
    });
  }
});

describe('adapters', () => {
  const path = 'model.layers.0.self_attn.q_proj';
  const adapter: Adapter = {
    rank: 2,
    alpha: 16,
    targets: ['q_proj'],
    tensors: new Map([
      [`${path}.lora_A.weight`, { shape: [2, 8], data: Float32Array.from({ length: 16 }, (_, i) => i) }],
      [`${path}.lora_B.weight`, { shape: [8, 2], data: Float32Array.from({ length: 16 }, (_, i) => -i) }],
    ]),
  };
  const adapterFolder = join(root, 'adapter');
  const rewrite = (changes: (tensors: Map<string, FloatTensor>) => void) => {
    const tensors = new Map([...adapter.tensors].map(([name, tensor]) => [`base_model.model.${name}`, tensor]));
    changes(tensors);
    writeSafetensors(join(adapterFolder, 'adapter_model.safetensors'), tensors);
  };
  const read = () => readAdapter(adapterFolder, config);

  beforeEach(() => writeAdapter(adapterFolder, adapter, 'some/model'));

  test('come back as they were written', () => assert.deepEqual(read(), adapter));

  test('are refused by setting where they compute something else', () => {
    const settings: [string, unknown, RegExp][] = [
      ['use_dora', true, /use_dora is true; supported is false/],
      ['use_rslora', true, /use_rslora/],
      ['bias', 'all', /bias is "all"; supported is "none"/],
      ['peft_type', 'IA3', /peft_type is "IA3"/],
      ['rank_pattern', { x: 1 }, /rank_pattern/],
      ['modules_to_save', ['lm_head'], /modules_to_save/],
    ];
    for (const [key, value, message] of settings) {
      const json = { peft_type: 'LORA', r: 2, lora_alpha: 16, bias: 'none', [key]: value };
      writeFileSync(join(adapterFolder, 'adapter_config.json'), JSON.stringify(json));
      refused('unsupported', message, read);
    }
  });

  test('are refused by name where they do not fit the model', () => {
    rewrite((tensors) =>
      tensors.set('base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight', {
        shape: [2, 8],
        data: new Float32Array(16),
      }),
    );
    refused('bad-file', /unknown are .*layers\.9/, read);
    rewrite((tensors) => tensors.delete(`base_model.model.${path}.lora_B.weight`));
    refused('bad-file', /without their other half/, read);
    rewrite((tensors) =>
      tensors.set(`base_model.model.${path}.lora_A.weight`, { shape: [3, 8], data: new Float32Array(24) }),
    );
    refused('bad-file', /lora_A.weight \[3,8\] instead of \[2,8\]/, read);
    rewrite((tensors) => tensors.clear());
    refused('bad-file', /it holds no tensors/, read);
    refused('not-found', /no adapter_config/, () => readAdapter(folder, config));
  });
});
