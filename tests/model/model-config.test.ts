import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type ErrorCode, ParetuneError } from '../../src-main/contract/errors.ts';
import { runConfigSchema } from '../../src-main/contract/run-config.ts';
import { memoryParts } from '../../src-main/engine-process/memory-estimate.ts';
import { parseModelConfig, toConfigJson } from '../../src-main/engine/model/model-config.ts';
import { familyNames } from '../../src-main/engine/model/model-families.ts';
import { ropeTables } from '../../src-main/engine/model/rope.ts';
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

const longrope = { short_factor: [1, 1.1, 1.2, 2, 2, 2], long_factor: [1, 2, 3, 4, 5, 6] };
const phi3 = { model_type: 'phi3', original_max_position_embeddings: 64, partial_rotary_factor: 0.75 };

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
    const mistral = parseModelConfig({ ...base, model_type: 'mistral' });
    assert.deepEqual([mistral.slidingLayers, mistral.slidingWindow], [[0, 1], 4096]);
    const phi3 = parseModelConfig({ ...base, model_type: 'phi3', sliding_window: 7 });
    assert.deepEqual([phi3.normEpsilon, phi3.fusedProjections, phi3.qkvBias], [1e-5, true, false]);
    assert.deepEqual([phi3.slidingLayers, phi3.slidingWindow], [[0, 1], 7]);
    const gemma2 = parseModelConfig({ ...base, model_type: 'gemma2', num_hidden_layers: 4 });
    assert.deepEqual([gemma2.headDim, gemma2.queryScalar, gemma2.embeddingScale], [256, 256, 8]);
    assert.deepEqual([gemma2.scoreCap, gemma2.logitCap, gemma2.activation], [50, 30, 'gelu']);
    assert.deepEqual([gemma2.slidingWindow, gemma2.slidingLayers], [4096, [0, 2]]);
    assert.deepEqual([gemma2.blockNorms, gemma2.normOffset, gemma2.tiedEmbeddings], ['both', 1, true]);
    const gemma3 = parseModelConfig({ ...base, model_type: 'gemma3_text', num_hidden_layers: 13 });
    assert.deepEqual([gemma3.scoreCap, gemma3.logitCap, gemma3.qkNorm], [null, null, 'head']);
    assert.deepEqual(gemma3.slidingLayers, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12]);
    assert.deepEqual([gemma3.rope.theta, gemma3.localRope?.theta], [1_000_000, 10_000]);
    const biased = parseModelConfig({ ...base, attention_bias: true, mlp_bias: true });
    assert.deepEqual([biased.qkvBias, biased.outputBias, biased.mlpBias], [true, true, true]);
  });

  test("reads LongRoPE under all of its names, ends where its short factors do, and keeps the file's length", () => {
    const rope_parameters = { rope_type: 'longrope', partial_rotary_factor: 0.75, ...longrope };
    const now = parseModelConfig({ ...base, ...phi3, partial_rotary_factor: undefined, rope_parameters });
    for (const type of ['longrope', 'su', 'yarn']) {
      assert.deepEqual(parseModelConfig({ ...base, ...phi3, rope_scaling: { type, ...longrope } }), now);
    }
    assert.deepEqual(now.rope, {
      theta: 10_000,
      dim: 12,
      scaling: {
        kind: 'longrope',
        shortFactors: longrope.short_factor,
        longFactors: longrope.long_factor,
        originalMaxPositions: 64,
        longMaxPositions: 512,
      },
    });
    assert.equal(now.maxPositions, 64);
    assert.equal(toConfigJson(now).max_position_embeddings, 512);
    const { cosines, sines } = ropeTables(now.rope, 2);
    const amplitude = Math.sqrt(1 + Math.log(8) / Math.log(64));
    const close = (value: number, expected: number) => assert.ok(Math.abs(value - expected) < 1e-6, `${value}`);
    close(cosines[0], amplitude);
    close(sines[6], amplitude * Math.sin(1));
    close(sines[7], amplitude * Math.sin(10_000 ** (-2 / 12) / 1.1));
  });

  test('reads the two kinds of rotary positions of Gemma 3 in both spellings', () => {
    const linear = { rope_type: 'linear', factor: 8 };
    const family = { model_type: 'gemma3_text', sliding_window: 5 };
    const old = parseModelConfig({
      ...base,
      ...family,
      rope_theta: 2e6,
      rope_local_base_freq: 5e3,
      rope_scaling: linear,
      sliding_window_pattern: 2,
    });
    const full_attention = { rope_theta: 2e6, ...linear };
    const sliding_attention = { rope_theta: 5e3, rope_type: 'default' };
    const now = parseModelConfig({
      ...base,
      ...family,
      rope_parameters: { full_attention, sliding_attention },
      layer_types: ['sliding_attention', 'full_attention'],
    });
    assert.deepEqual(old, now);
    assert.deepEqual(now.rope, { theta: 2e6, dim: 256, scaling: { kind: 'linear', factor: 8 } });
    assert.deepEqual(now.localRope, { theta: 5e3, dim: 256, scaling: null });
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
    ...['gemma', 'gemma3n', 'phi3small', 'phi', 'olmo', 'granite'].map((type): [string, object, RegExp] => [
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
      'another rope type of a Phi-3',
      { ...phi3, rope_scaling: { type: 'linear', factor: 2 } },
      /"linear".*default, longrope/,
    ],
    ['LongRoPE of another family', { rope_scaling: { type: 'longrope', ...longrope } }, /rope_type is "longrope"/],
    [
      'a sharpness of its own of LongRoPE',
      { ...phi3, rope_scaling: { type: 'longrope', attention_factor: 1.5, ...longrope } },
      /rope_scaling.attention_factor is 1.5; supported is 1.22/,
    ],
    [
      'partial rotary in the new key',
      { rope_parameters: { rope_type: 'default', partial_rotary_factor: 0.25 } },
      /partial_rotary_factor is 0.25/,
    ],
    [
      'another activation of a Gemma',
      { model_type: 'gemma2', hidden_activation: 'gelu' },
      /hidden_activation is "gelu".*gelu_pytorch_tanh/,
    ],
    ['a Gemma that looks ahead', { model_type: 'gemma2', use_bidirectional_attention: true }, /bidirectional/],
    [
      'layers of a Gemma that are no attention',
      { model_type: 'gemma2', layer_types: ['sliding_attention', 'linear_attention'] },
      /layer_types is "linear_attention".*full_attention or sliding_attention/,
    ],
    [
      'two settings of rotary positions in a family that has one',
      { rope_parameters: { full_attention: { rope_theta: 2 } } },
      /rope_parameters is .*one setting for all layers/,
    ],
    [
      'stretched angles in the windows of a Gemma 3',
      { model_type: 'gemma3_text', rope_parameters: { sliding_attention: { rope_type: 'linear', factor: 2 } } },
      /sliding_attention.rope_type is "linear"; supported is default/,
    ],
    [
      'capped scores of a Gemma 3',
      { model_type: 'gemma3_text', attn_logit_softcapping: 50 },
      /attn_logit_softcapping is 50; supported is none/,
    ],
    ['attention softcap', { attn_logit_softcapping: 50 }, /attn_logit_softcapping is 50/],
    ['scaled embeddings', { embedding_multiplier: 12 }, /embedding_multiplier is 12; supported is 1/],
    ['experts', { num_local_experts: 8 }, /num_local_experts is 8/],
    ['quantized weights', { quantization_config: { bits: 4 } }, /quantization_config/],
  ];
  // as their own config.json describe them: with keys that ours have not, and without some that ours need
  const others: Record<string, object> = {
    gpt2: { n_embd: 768, n_layer: 12, n_head: 12, n_positions: 1024, vocab_size: 50_257 },
    mamba: { hidden_size: 768, state_size: 16, num_hidden_layers: 24, vocab_size: 50_280 },
    mixtral: { ...base, num_local_experts: 8, num_experts_per_tok: 2 },
    qwen3_moe: { ...base, num_experts: 128, moe_intermediate_size: 768 },
    gemma3: { text_config: base, vision_config: { hidden_size: 1152 } },
    bert: { ...base, type_vocab_size: 2 },
    t5: { d_model: 512, num_layers: 6, vocab_size: 32_128 },
  };
  for (const [name, config] of Object.entries(others)) {
    test(`refuses ${name} by its name, with all that is supported`, () => {
      assert.throws(
        () => parseModelConfig({ ...config, model_type: name }),
        (error) => {
          assert.ok(error instanceof ParetuneError, String(error));
          assert.ok(error.message.startsWith(`config.json: model_type is "${name}"; supported is `), error.message);
          for (const family of familyNames) assert.ok(error.message.includes(family), family);
          assert.match(
            error.hint,
            name === 'gemma3'
              ? /import a GGUF file/
              : /Choose a Llama, Mistral, .* model in its plain, dense, unquantized form/,
          );
          return error.code === 'unsupported';
        },
      );
    });
  }

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
    [{ ...phi3, partial_rotary_factor: 0.7 }, /no pairs/],
    [{ ...phi3, rope_scaling: { type: 'longrope', ...longrope, long_factor: [1] } }, /long_factor has 1 numbers for 6/],
    [{ ...phi3, sliding_window: 0 }, /sliding_window is 0/],
    [{ model_type: 'gemma2', layer_types: ['full_attention'] }, /layer_types has 1 entries for 2 layers/],
    [{ model_type: 'gemma2', attn_logit_softcapping: 0 }, /attn_logit_softcapping/],
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
      { model_type: 'mistral', sliding_window: 32 },
      { model_type: 'smollm3', no_rope_layers: [0, 1], mlp_bias: true, attention_bias: true },
      { model_type: 'smollm3', tie_word_embeddings: false, no_rope_layer_interval: 2 },
      { model_type: 'olmo2' },
      { ...phi3, rope_scaling: { type: 'su', ...longrope }, sliding_window: 7 },
      { model_type: 'phi3' },
      { model_type: 'gemma3_text', num_hidden_layers: 12, rope_scaling: { rope_type: 'linear', factor: 8 } },
      { model_type: 'gemma3_text', final_logit_softcapping: 20, rope_local_base_freq: 5000 },
      { model_type: 'gemma2' },
      {
        model_type: 'gemma2',
        head_dim: 16,
        query_pre_attn_scalar: 24,
        attn_logit_softcapping: null,
        final_logit_softcapping: 20,
        sliding_window: null,
        layer_types: ['full_attention', 'sliding_attention'],
      },
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
    const phi3 = shapes({ model_type: 'phi3' });
    assert.deepEqual(phi3.get('model.layers.0.self_attn.qkv_proj.weight'), [128, 64]);
    assert.deepEqual(phi3.get('model.layers.1.mlp.gate_up_proj.weight'), [256, 64]);
    assert.equal(phi3.size, 2 + 2 * 6 + 1);
    const gemma2 = shapes({ model_type: 'gemma2', head_dim: 16 });
    assert.equal(gemma2.size, 2 + 2 * 11);
    assert.deepEqual(gemma2.get('model.layers.1.pre_feedforward_layernorm.weight'), [64]);
    const qwen3 = shapes({ model_type: 'qwen3', head_dim: 24 });
    assert.deepEqual(qwen3.get('model.layers.0.self_attn.q_norm.weight'), [24]);
    assert.deepEqual(qwen3.get('model.layers.0.self_attn.o_proj.weight'), [64, 96]);
  });

  const gemma3 = { model_type: 'gemma3_text', vocab_size: 262_144, num_attention_heads: 4, num_key_value_heads: 1 };
  /** sizes from the models' own files; the parameters that transformers counts, and those of PEFT's adapter of rank 16 */
  const published: [string, object, number, number][] = [
    [
      'Phi-3-mini-4k',
      {
        model_type: 'phi3',
        vocab_size: 32_064,
        hidden_size: 3072,
        intermediate_size: 8192,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: 32,
        max_position_embeddings: 4096,
        sliding_window: 2047,
      },
      3_821_079_552,
      25_165_824,
    ],
    [
      'Phi-4-mini',
      {
        model_type: 'phi3',
        vocab_size: 200_064,
        hidden_size: 3072,
        intermediate_size: 8192,
        num_hidden_layers: 32,
        num_attention_heads: 24,
        num_key_value_heads: 8,
        partial_rotary_factor: 0.75,
        tie_word_embeddings: true,
      },
      3_836_021_760,
      23_068_672,
    ],
    [
      'Gemma-2-2B',
      {
        model_type: 'gemma2',
        vocab_size: 256_000,
        hidden_size: 2304,
        intermediate_size: 9216,
        num_hidden_layers: 26,
        num_attention_heads: 8,
        num_key_value_heads: 4,
      },
      2_614_341_888,
      20_766_720,
    ],
    [
      'Gemma-3-270M',
      { ...gemma3, hidden_size: 640, intermediate_size: 2048, num_hidden_layers: 18 },
      268_098_176,
      3_796_992,
    ],
    [
      'Gemma-3-1B',
      { ...gemma3, hidden_size: 1152, intermediate_size: 6912, num_hidden_layers: 26 },
      999_885_952,
      13_045_760,
    ],
  ];
  for (const [name, sizes, parameters, adapter] of published) {
    test(`counts the parameters of ${name}, and what an adapter on it takes`, () => {
      const config = parseModelConfig({ ...base, ...sizes });
      const count = weightSpecs(config).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
      assert.equal(count, parameters);
      const run = runConfigSchema.parse({ model: '-', tasks: ['-'], train: { parameters: 'lora' } });
      const parts = new Map(memoryParts(config, run).map(({ name: part, bytes }) => [part, bytes]));
      assert.deepEqual([parts.get('weights'), parts.get('optimizer')], [8 * parameters, 12 * adapter]);
    });
  }
});
