import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type ErrorCode, ParetuneError } from '../../src-main/contract/errors.ts';
import { parseModelConfig, toConfigJson } from '../../src-main/engine/model/model-config.ts';
import { weightSpecs } from '../../src-main/engine/model/weight-specs.ts';

const base = {
  model_type: 'llama',
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 128,
  vocab_size: 320,
  max_position_embeddings: 512,
  bos_token_id: 1,
  eos_token_id: 2,
};
const llama3 = { factor: 8, high_freq_factor: 4, low_freq_factor: 1, original_max_position_embeddings: 64 };

function refusal(changes: object): ParetuneError {
  try {
    parseModelConfig({ ...base, ...changes });
  } catch (error) {
    assert.ok(error instanceof ParetuneError, String(error));
    return error;
  }
  throw new Error(`accepted ${JSON.stringify(changes)}`);
}

describe('parseModelConfig', () => {
  test('reads old and new rope keys as the same model', () => {
    const old = parseModelConfig({ ...base, rope_theta: 5e5, rope_scaling: { type: 'llama3', ...llama3 } });
    const now = parseModelConfig({ ...base, rope_parameters: { rope_theta: 5e5, rope_type: 'llama3', ...llama3 } });
    assert.deepEqual(old, now);
    assert.deepEqual(now.rope, {
      theta: 5e5,
      dim: 16,
      scaling: { kind: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 64 },
    });
  });

  test('fills in what each family leaves out', () => {
    const llama = parseModelConfig({ ...base, num_key_value_heads: undefined });
    assert.equal(llama.kvHeads, 4);
    assert.equal(llama.headDim, 16);
    assert.deepEqual(llama.rope, { theta: 10_000, dim: 16, scaling: null });
    assert.equal(parseModelConfig({ ...base, model_type: 'qwen3' }).headDim, 128);
    const qwen2 = parseModelConfig({ ...base, model_type: 'qwen2' });
    assert.deepEqual([qwen2.qkvBias, qwen2.outputBias, qwen2.qkNorm], [true, false, 'none']);
    const smollm3 = parseModelConfig({ ...base, model_type: 'smollm3', num_hidden_layers: 8 });
    assert.deepEqual([smollm3.unrotatedLayers, smollm3.tiedEmbeddings, smollm3.rope.theta], [[3, 7], true, 2_000_000]);
    const olmo2 = parseModelConfig({ ...base, model_type: 'olmo2' });
    assert.deepEqual([olmo2.normEpsilon, olmo2.blockNorms, olmo2.qkNorm], [1e-5, 'after', 'heads']);
    const biased = parseModelConfig({ ...base, attention_bias: true, mlp_bias: true });
    assert.deepEqual([biased.qkvBias, biased.outputBias, biased.mlpBias], [true, true, true]);
  });

  test('reads token ids that are numbers, lists, null, absent or -1', () => {
    const ids = (changes: object) => {
      const { bosTokenId, eosTokenIds, padTokenId } = parseModelConfig({ ...base, ...changes });
      return { bosTokenId, eosTokenIds, padTokenId };
    };
    assert.deepEqual(ids({ pad_token_id: -1 }), { bosTokenId: 1, eosTokenIds: [2], padTokenId: null });
    assert.deepEqual(ids({ bos_token_id: null, eos_token_id: [2, 3, 2], pad_token_id: 0 }), {
      bosTokenId: null,
      eosTokenIds: [2, 3],
      padTokenId: 0,
    });
    assert.deepEqual(ids({ eos_token_id: undefined, pad_token_id: 320 }).padTokenId, null);
  });

  const refused: [string, object, RegExp][] = [
    ...['gemma2', 'gemma3_text', 'phi3small', 'phi', 'mixtral', 'olmo', 'granite'].map((type): [string, object, RegExp] => [
      type,
      { model_type: type },
      new RegExp(`model_type is "${type}"`),
    ]),
    [
      'another model type',
      { model_type: 'mamba' },
      /model_type is "mamba".*llama, mistral, qwen2, qwen3, smollm3, olmo2/,
    ],
    ['another head', { architectures: ['LlamaForSequenceClassification'] }, /architectures.*LlamaForCausalLM/],
    ['another activation', { hidden_act: 'gelu' }, /hidden_act is "gelu".*silu/],
    ['a sliding window of a Llama', { sliding_window: 4096 }, /sliding_window is 4096/],
    ['the window that a Mistral has by default', { model_type: 'mistral' }, /sliding_window is 4096/],
    ['biases of a Mistral', { model_type: 'mistral', attention_bias: true, sliding_window: null }, /attention_bias/],
    [
      'a window in use of a SmolLM3',
      { model_type: 'smollm3', use_sliding_window: true, sliding_window: 64 },
      /sliding_window is 64/,
    ],
    ['unrotated layers of another family', { no_rope_layers: [1, 0] }, /no_rope_layers is \[1,0\]/],
    [
      'a sliding window in use',
      { model_type: 'qwen2', use_sliding_window: true, sliding_window: 8, max_window_layers: 1 },
      /sliding_window is 8/,
    ],
    [
      'a sliding layer',
      { model_type: 'qwen3', layer_types: ['full_attention', 'sliding_attention'] },
      /layer_types is "sliding_attention"/,
    ],
    [
      'an unknown rope type',
      { rope_scaling: { type: 'yarn', factor: 4 } },
      /rope_type is "yarn".*default, linear, llama3/,
    ],
    ['partial rotary', { partial_rotary_factor: 0.5 }, /partial_rotary_factor is 0.5/],
    [
      'partial rotary in the new key',
      { rope_parameters: { rope_type: 'default', partial_rotary_factor: 0.25 } },
      /partial_rotary_factor is 0.25/,
    ],
    ['attention softcap', { attn_logit_softcapping: 50 }, /attn_logit_softcapping is 50/],
    ['scaled embeddings', { embedding_multiplier: 12 }, /embedding_multiplier is 12; supported is 1/],
    ['experts', { num_local_experts: 8 }, /num_local_experts is 8/],
    ['quantized weights', { quantization_config: { bits: 4 } }, /quantization_config/],
  ];
  for (const [what, changes, message] of refused) {
    test(`refuses ${what} by key and value`, () => {
      const error = refusal(changes);
      assert.equal(error.code, 'unsupported' satisfies ErrorCode);
      assert.match(error.message, message);
      assert.notEqual(error.hint, '');
    });
  }

  test('accepts a sliding window that no layer uses', () => {
    parseModelConfig({
      ...base,
      model_type: 'qwen2',
      use_sliding_window: false,
      sliding_window: 32,
      max_window_layers: 0,
    });
    parseModelConfig({
      ...base,
      model_type: 'qwen2',
      use_sliding_window: true,
      sliding_window: 32,
      max_window_layers: 2,
    });
  });

  const malformed: [object, RegExp][] = [
    [{ hidden_size: 1e9 }, /hidden_size/],
    [{ num_hidden_layers: 2.5 }, /num_hidden_layers/],
    [{ num_key_value_heads: 3 }, /multiple of num_key_value_heads 3/],
    [{ hidden_size: 66 }, /head_dim/],
    [{ head_dim: 15 }, /even/],
    [{ eos_token_id: 320 }, /eos_token_id 320 is not below vocab_size 320/],
    [{ rope_scaling: { type: 'linear' } }, /needs factor/],
    [{ rope_theta: 1, rope_parameters: { rope_theta: 2 } }, /rope_theta is 1/],
    [{ rope_scaling: { ...llama3, type: 'llama3', low_freq_factor: 4 } }, /low_freq_factor 4/],
  ];
  for (const [changes, message] of malformed) {
    test(`calls ${JSON.stringify(changes)} a bad file`, () => {
      const error = refusal(changes);
      assert.equal(error.code, 'bad-file');
      assert.match(error.message, message);
    });
  }

  test('any JSON value gives a config or one ParetuneError', () => {
    const keys = [...Object.keys(base), 'rope_scaling', 'rope_parameters', 'layer_types', 'head_dim', 'sliding_window'];
    fc.assert(
      fc.property(fc.constantFrom(...keys), fc.jsonValue(), fc.boolean(), (key, value, alone) => {
        try {
          parseModelConfig(alone ? value : { ...base, [key]: value });
        } catch (error) {
          assert.ok(error instanceof ParetuneError, String(error));
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('toConfigJson', () => {
  test('writes a file that reads back as the same model', () => {
    for (const changes of [
      {},
      { attention_bias: true, mlp_bias: true, tie_word_embeddings: true, eos_token_id: [2, 3], pad_token_id: 0 },
      { model_type: 'qwen2', rope_scaling: { type: 'linear', factor: 2 }, bos_token_id: null, eos_token_id: null },
      { model_type: 'qwen3', head_dim: 24, attention_bias: true, rope_theta: 1e6 },
      { rope_parameters: { rope_type: 'llama3', rope_theta: 1e4, ...llama3 } },
      { model_type: 'mistral', sliding_window: null },
      { model_type: 'smollm3', no_rope_layers: [0, 1], mlp_bias: true, attention_bias: true },
      { model_type: 'smollm3', tie_word_embeddings: false, no_rope_layer_interval: 2 },
      { model_type: 'olmo2' },
    ]) {
      const config = parseModelConfig({ ...base, ...changes });
      const written = JSON.parse(JSON.stringify(toConfigJson(config, { dtype: 'float32' })));
      assert.deepEqual(parseModelConfig(written), config);
      assert.equal(written.dtype, 'float32');
    }
  });
});

describe('weightSpecs', () => {
  const shapes = (changes: object) =>
    new Map(weightSpecs(parseModelConfig({ ...base, ...changes })).map(({ name, shape }) => [name, shape]));

  test('lists the head only where it is not tied, and biases and q/k norms only where the family has them', () => {
    const llama = shapes({});
    assert.equal(llama.size, 2 + 2 * 9 + 1);
    assert.deepEqual(llama.get('lm_head.weight'), [320, 64]);
    assert.deepEqual(llama.get('model.layers.1.self_attn.k_proj.weight'), [32, 64]);
    assert.deepEqual(llama.get('model.layers.0.mlp.down_proj.weight'), [64, 128]);
    assert.equal(shapes({ tie_word_embeddings: true }).has('lm_head.weight'), false);
    const qwen2 = shapes({ model_type: 'qwen2' });
    assert.deepEqual(qwen2.get('model.layers.0.self_attn.q_proj.bias'), [64]);
    assert.equal(qwen2.has('model.layers.0.self_attn.o_proj.bias'), false);
    const olmo2 = shapes({ model_type: 'olmo2' });
    assert.deepEqual(olmo2.get('model.layers.0.self_attn.k_norm.weight'), [32]);
    assert.equal(olmo2.has('model.layers.0.input_layernorm.weight'), false);
    assert.deepEqual(olmo2.get('model.layers.1.post_feedforward_layernorm.weight'), [64]);
    const qwen3 = shapes({ model_type: 'qwen3', head_dim: 24 });
    assert.deepEqual(qwen3.get('model.layers.0.self_attn.q_norm.weight'), [24]);
    assert.deepEqual(qwen3.get('model.layers.0.self_attn.o_proj.weight'), [64, 96]);
  });
});
