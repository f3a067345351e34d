import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type ErrorCode, ParetuneError } from '../../src-main/contract/errors.ts';
import { openGguf, rowsOf } from '../../src-main/engine/weights/gguf.ts';
import { type BlockType, dequantize } from '../../src-main/engine/weights/gguf-blocks.ts';
import { ggufConfigJson } from '../../src-main/engine/weights/gguf-config.ts';
import { openGgufModel } from '../../src-main/engine/weights/gguf-model.ts';
import { openSafetensors, readFloatTensor, writeTensors } from '../../src-main/engine/weights/safetensors.ts';
import { parseModelConfig } from '../../src-main/engine/model/model-config.ts';
import { weightSpecs } from '../../src-main/engine/model/weight-specs.ts';
import { expectedOfGguf, floatsOf, ggufFamilies, type GgufFamily, ggufFolder, ggufPath } from './gguf-fixtures.ts';
import { loadsOrRefuses, mutationOf } from './gguf-mutations.ts';
import { entry, floatTensors, ggufBytes, type Parts, tensorInfo, text, u32, u64 } from './gguf-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'paretune-gguf-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'model.gguf');

describe('dequantize', () => {
  const blocks: Record<string, [string, string]> = JSON.parse(readFileSync(join(ggufFolder, 'blocks.json'), 'utf8'));
  for (const [type, [bytes, floats]] of Object.entries(blocks)) {
    test(`gives the reference's numbers for ${type}, bit for bit`, () => {
      const actual = dequantize(type as BlockType, Uint8Array.from(Buffer.from(bytes, 'base64')));
      const expected = floatsOf(floats);
      assert.ok(expected.length >= 64);
      assert.deepEqual(new Uint32Array(actual.buffer), new Uint32Array(expected.buffer));
    });
  }
});

describe('openGgufModel', () => {
  const expected = expectedOfGguf();
  for (const family of ggufFamilies) {
    test(`reads every tensor of the ${family} file as the reference does`, () => {
      const { tensors, path } = openGguf(ggufPath(family));
      const file = openGguf(path);
      const hashes = expected[family].sha256;
      for (const [name, hash] of Object.entries(hashes)) {
        const sum = createHash('sha256');
        for (const rows of rowsOf(file, name, null)) {
          sum.update(new Uint8Array(dequantize(tensors.get(name)!.type, rows).buffer));
        }
        assert.equal(sum.digest('hex'), hash, name);
      }
      const rotaryFactors = { llama: 1, phi3: 2 } as Partial<Record<GgufFamily, number>>;
      assert.equal(tensors.size, Object.keys(hashes).length + (rotaryFactors[family] ?? 0));
    });

    test(`writes the ${family} file as safetensors with the same numbers`, () => {
      const model = openGgufModel(ggufPath(family));
      writeTensors(join(folder, 'copy.safetensors'), model.sources());
      const copy = openSafetensors(join(folder, 'copy.safetensors'));
      assert.deepEqual(
        [...copy.tensors.keys()].sort(),
        weightSpecs(model.config)
          .map(({ name }) => name)
          .sort(),
      );
      for (const name of copy.tensors.keys()) assert.deepEqual(readFloatTensor(copy, name), model.readWeight(name));
    });
  }

  test('keeps 16-bit floats as they are, and gives blocks 32 bits', () => {
    const types = [...openGgufModel(ggufPath('qwen2')).sources().values()].map(({ type }) => type);
    assert.deepEqual([...new Set(types)].sort(), ['BF16', 'F16', 'F32']);
  });

  test('reads sizes, biases, norms of heads, tied heads and the rotary factors of Llama 3', () => {
    const [llama, qwen2, qwen3] = ggufFamilies.map((family) => openGgufModel(ggufPath(family)).config);
    assert.deepEqual(llama.rope.scaling, {
      kind: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositions: 8192,
    });
    assert.deepEqual([llama.rope.theta, llama.normEpsilon, llama.maxPositions], [500_000, 1e-5, 512]);
    assert.deepEqual([llama.heads, llama.kvHeads, llama.headDim, llama.feedForwardSize], [4, 2, 8, 48]);
    assert.deepEqual(
      [llama.tiedEmbeddings, qwen2.tiedEmbeddings, qwen2.qkvBias, qwen3.qkNorm === 'head'],
      [false, true, true, true],
    );
    assert.deepEqual([qwen3.headDim, qwen3.hiddenSize, qwen3.heads], [64, 256, 2]);
    assert.deepEqual([llama.bosTokenId, llama.eosTokenIds, qwen2.eosTokenIds], [1, [375], [288]]);
  });

  test("reads Phi-3's fused matrices, the part of a head that is turned, and LongRoPE's factors", () => {
    const { config, readWeight } = openGgufModel(ggufPath('phi3'));
    assert.deepEqual([config.headDim, config.rope.dim, config.slidingWindow, config.maxPositions], [16, 12, null, 256]);
    assert.deepEqual(config.rope.scaling, {
      kind: 'longrope',
      shortFactors: [1, 1.2, 1.4, 1.6, 1.8, 2],
      longFactors: [1, 1.6, 2.2, 2.8, 3.4, 4],
      originalMaxPositions: 256,
      longMaxPositions: 512,
    });
    assert.deepEqual(readWeight('model.layers.0.mlp.gate_up_proj.weight').shape, [96, 64]);
    assert.deepEqual(readWeight('model.layers.1.self_attn.qkv_proj.weight').shape, [128, 64]);
  });

  test("reads Gemma 2's caps and windows, and takes from its norms the 1 that they add to their weights", () => {
    const { config, readWeight, sources, file } = openGgufModel(ggufPath('gemma2'));
    assert.deepEqual([config.scoreCap, config.logitCap, config.queryScalar], [50, 30, 16]);
    assert.deepEqual([config.slidingWindow, config.slidingLayers], [12, [0, 2]]);
    const stored = [...rowsOf(file, 'blk.0.ffn_norm.weight', null)].flatMap((rows) => [...dequantize('F32', rows)]);
    const read = readWeight('model.layers.0.pre_feedforward_layernorm.weight').data;
    assert.deepEqual(
      [...read],
      stored.map((value) => Math.fround(value - 1)),
    );
    const types = [...sources()].map(([name, { type }]) => `${name.includes('norm') ? 'norm' : 'matrix'} ${type}`);
    assert.deepEqual([...new Set(types)].sort(), ['matrix F16', 'norm F32']);
  });

  test('divides the scores of the one size of Gemma 2 that is too wide for its heads by the width of a head', () => {
    const { file } = openGgufModel(ggufPath('gemma2'));
    const metadata = new Map(file.metadata).set('gemma2.block_count', 46);
    assert.equal(ggufConfigJson({ ...file, metadata }, {}).query_pre_attn_scalar, 32 / 4);
    metadata.delete('gemma2.attn_logit_softcapping');
    metadata.set('gemma2.final_logit_softcapping', 0).set('gemma2.attention.sliding_window', 0);
    const { scoreCap, logitCap, slidingWindow } = parseModelConfig(ggufConfigJson({ ...file, metadata }, {}));
    assert.deepEqual([scoreCap, logitCap, slidingWindow], [50, null, null]);
  });

  test("reads Gemma 3's windows with their own angles, and a file without windows", () => {
    const { file, config } = openGgufModel(ggufPath('gemma3'));
    assert.deepEqual(
      [config.family, config.slidingWindow, config.slidingLayers],
      ['gemma3_text', 12, [0, 1, 2, 3, 4, 6]],
    );
    assert.deepEqual(config.rope, { theta: 500_000, dim: 8, scaling: { kind: 'linear', factor: 8 } });
    assert.deepEqual(config.localRope, { theta: 10_000, dim: 8, scaling: null });
    const changed = (name: string, value: number | undefined) => {
      const metadata = new Map(file.metadata);
      if (value === undefined) metadata.delete(name);
      else metadata.set(name, value);
      return parseModelConfig(ggufConfigJson({ ...file, metadata }, {}));
    };
    for (const none of [0, undefined]) {
      assert.deepEqual(changed('gemma3.attention.sliding_window', none).slidingLayers, []);
    }
    assert.deepEqual(changed('gemma3.attention.sliding_window_pattern', 3).slidingLayers, [0, 1, 3, 4, 6]);
    assert.equal(changed('gemma3.rope.freq_base_swa', 5000).localRope?.theta, 5000);
    assert.equal(changed('gemma3.block_count', 62).queryScalar, 32 / 4);
  });

  const whole = { type: 'u32', value: 1 } as const;
  const meta = (changes: Record<string, Buffer | null> = {}) => {
    const entries: Record<string, Buffer | null> = {
      'general.architecture': entry('general.architecture', { type: 'string', value: 'llama' }),
      ...Object.fromEntries(
        Object.entries({
          block_count: 1,
          context_length: 16,
          embedding_length: 4,
          feed_forward_length: 2,
          'attention.head_count': 2,
        }).map(([key, value]) => [key, entry(`llama.${key}`, { type: 'u32', value })]),
      ),
      eps: entry('llama.attention.layer_norm_rms_epsilon', { type: 'f32', value: 1e-5 }),
      ...changes,
    };
    return Object.values(entries).filter((bytes) => bytes !== null);
  };
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
  const shapes: Record<string, number[]> = {
    'token_embd.weight': [4, 6],
    'blk.0.attn_norm.weight': [4],
    'blk.0.attn_q.weight': [4, 4],
    'blk.0.attn_k.weight': [4, 4],
    'blk.0.attn_v.weight': [4, 4],
    'blk.0.attn_output.weight': [4, 4],
    'blk.0.ffn_norm.weight': [4],
    'blk.0.ffn_gate.weight': [4, 2],
    'blk.0.ffn_up.weight': [4, 2],
    'blk.0.ffn_down.weight': [2, 4],
    'output_norm.weight': [4],
  };
  const tensors = (changes: Record<string, number[] | null> = {}) =>
    floatTensors(
      Object.fromEntries(
        Object.entries({ ...shapes, ...changes })
          .filter(([, dims]) => dims !== null)
          .map(([name, dims]) => [name, { dims: dims!, values: numbers(dims!.reduce((a, b) => a * b, 1)) }]),
      ),
    );
  const write = (entries: Buffer[], changes: Record<string, number[] | null> = {}) =>
    writeFileSync(path, ggufBytes({ entries, ...tensors(changes) }));
  const refused = (code: ErrorCode, message: RegExp) =>
    assert.throws(
      () => openGgufModel(path),
      (error) => {
        assert.ok(error instanceof ParetuneError, String(error));
        assert.match(error.message, message);
        return error.code === code && error.hint !== '';
      },
    );

  test("puts the rows of query and key heads into Hugging Face's order, and leaves others", () => {
    write(meta());
    const model = openGgufModel(path);
    // two heads of two rows, each one pair: nothing to move; with one head of four rows, 0 2 1 3
    assert.deepEqual([...model.readWeight('model.layers.0.self_attn.q_proj.weight').data], numbers(16));
    write(meta({ 'attention.head_count': entry('llama.attention.head_count', { type: 'u32', value: 1 }) }));
    const one = openGgufModel(path);
    const q = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15];
    assert.deepEqual([...one.readWeight('model.layers.0.self_attn.q_proj.weight').data], q);
    assert.deepEqual([...one.readWeight('model.layers.0.self_attn.k_proj.weight').data], q);
    assert.deepEqual([...one.readWeight('model.layers.0.self_attn.v_proj.weight').data], numbers(16));
    const biases = ['q', 'k', 'v', 'output'].map((part) => [`blk.0.attn_${part}.bias`, [4]]);
    write(
      meta({ 'attention.head_count': entry('llama.attention.head_count', { type: 'u32', value: 1 }) }),
      Object.fromEntries(biases),
    );
    const biased = openGgufModel(path);
    assert.deepEqual([...biased.readWeight('model.layers.0.self_attn.q_proj.bias').data], [0, 2, 1, 3]);
    assert.deepEqual([...biased.readWeight('model.layers.0.self_attn.v_proj.bias').data], [0, 1, 2, 3]);
  });

  test('refuses by its key what would change a logit', () => {
    const other = (name: string) => entry('general.architecture', { type: 'string', value: name });
    const cases: [string, Buffer, RegExp][] = [
      ...['gpt2', 'qwen3moe', 'bert'].map((name): [string, Buffer, RegExp] => [
        'general.architecture',
        other(name),
        new RegExp(`architecture is "${name}"; supported is llama, qwen2, qwen3, smollm3, olmo2, phi3, gemma2, gemma3`),
      ]),
      ['general.architecture', other('mamba'), /architecture is "mamba"; supported is llama, qwen2/],
      ['x', entry('llama.expert_count', { type: 'u32', value: 8 }), /llama.expert_count is 8; supported is 0/],
      ['x', entry('llama.logit_scale', { type: 'f32', value: 2 }), /llama.logit_scale is 2/],
      ['x', entry('llama.attention.sliding_window', { type: 'u32', value: 4096 }), /sliding_window is 4096/],
      [
        'x',
        entry('llama.rope.scaling.type', { type: 'string', value: 'yarn' }),
        /rope.scaling.type is "yarn"; supported is none, linear/,
      ],
      ['x', entry('llama.rope.dimension_count', whole), /rope.dimension_count is 1; supported is 2/],
      ['x', entry('llama.attention.value_length', whole), /value_length is 1/],
      [
        'attention.head_count',
        entry('llama.attention.head_count', { array: 'u32', values: [2, 2] }),
        /head_count is an array/,
      ],
    ];
    for (const [key, bytes, message] of cases) {
      write(meta({ [key]: bytes }));
      refused(message.source.includes('array') ? 'bad-file' : 'unsupported', message);
    }
    write(meta(), { 'rope_freqs.weight': [1] });
    refused('unsupported', /rope_freqs.weight is "\[1 factors\]"/);
    // sizes without end are never made
    const endless = entry('llama.attention.key_length', { type: 'u32', value: 4294967294 });
    const none = entry('llama.attention.head_count', { type: 'u32', value: 0 });
    for (const [key, bytes] of [
      ['x', endless],
      ['attention.head_count', none],
    ] as const) {
      write(meta({ [key]: bytes }), { 'rope_freqs.weight': [1] });
      refused('unsupported', /rope_freqs.weight is "\[1 factors\]"/);
    }
    write(meta({ x: entry('llama.expert_count', { type: 'u32', value: 0 }) }));
    assert.equal(openGgufModel(path).config.layers, 1);
    write(meta({ x: entry('split.count', { type: 'u16', value: 3 }) }));
    refused('unsupported', /one of 3 parts/);
  });

  test('reads linear rotary scaling', () => {
    const type = entry('llama.rope.scaling.type', { type: 'string', value: 'linear' });
    write(meta({ type, factor: entry('llama.rope.scaling.factor', { type: 'f32', value: 4 }) }));
    assert.deepEqual(openGgufModel(path).config.rope.scaling, { kind: 'linear', factor: 4 });
  });

  test('names missing metadata and tensors, unknown and misshaped ones', () => {
    write(meta({ block_count: null }));
    refused('bad-file', /llama.block_count is missing/);
    write(meta(), { 'blk.0.ffn_up.weight': null });
    refused('bad-file', /missing are model.layers.0.mlp.up_proj.weight/);
    write(meta(), { 'blk.0.ssm_in.weight': [4] });
    refused('bad-file', /unknown are blk.0.ssm_in.weight/);
    write(meta(), { 'blk.0.ffn_up.weight': [2, 4] });
    refused('bad-file', /misshaped are model.layers.0.mlp.up_proj.weight \[4,2\] instead of \[2,4\]/);
    write(meta(), { 'token_embd.weight': null });
    refused('bad-file', /token_embd.weight is missing/);
    write(meta(), { 'blk.00.ffn_up.weight': [4, 2] });
    refused('bad-file', /are the same weight/);
  });
});

describe('openGguf refuses', () => {
  const one = tensorInfo('w', [8], 0, 0);
  const refused = (parts: Parts | Buffer, message: RegExp, code: ErrorCode = 'bad-file') => {
    writeFileSync(path, Buffer.isBuffer(parts) ? parts : ggufBytes(parts));
    assert.throws(
      () => openGguf(path),
      (error) => {
        assert.ok(error instanceof ParetuneError, String(error));
        assert.match(error.message, message);
        return error.code === code && error.hint !== '';
      },
    );
  };
  const data = Buffer.alloc(32);

  test('a file that is not GGUF, of another version or byte order, or a missing one', () => {
    refused(Buffer.alloc(0), /it ends at byte 0/);
    refused(Buffer.from('GG'), /it ends at byte 2/);
    refused({ magic: 'GGML' }, /does not start with GGUF/);
    refused({ version: 1 }, /version 1/, 'unsupported');
    refused({ version: 0x03000000 }, /big-endian/, 'unsupported');
    assert.throws(() => openGguf(join(folder, 'none.gguf')), /cannot be opened/);
  });

  test('counts beyond the file or the bounds (CVE-2024-23605)', () => {
    refused({ claimedEntries: 2n ** 63n }, /claims 9223372036854775808 metadata entries/);
    refused({ claimedEntries: 65_000 }, /metadata entries; at most 65536 are read, and the file has room for/);
    refused({ claimedTensors: 2n ** 64n - 1n }, /claims 18446744073709551615 tensors/);
    refused({ claimedEntries: 1 }, /metadata entries/);
  });

  test('dimensions that are none, overflow or wrap around (CVE-2024-21802, CVE-2026-33298)', () => {
    for (const dims of [[0], [2n ** 63n], [2n ** 32n, 2n ** 32n], [2n ** 62n, 2n, 2n], [8, 2n ** 64n - 1n]]) {
      refused({ infos: [tensorInfo('w', dims, 0, 0)], data }, /tensor "w" has the dimensions/);
    }
    refused({ infos: [tensorInfo('w', [2n ** 40n], 0, 0)], data }, /lies beyond the end of the file/);
    refused({ infos: [tensorInfo('w', [], 0, 0)], data }, /0 dimensions; allowed are 1 to 4/);
    refused({ infos: [tensorInfo('w', [1, 1, 1, 1, 8], 0, 0)], data }, /5 dimensions/);
    const endless = Buffer.concat([text('w'), u32(0xffffffff)]);
    refused({ infos: [endless], data }, /4294967295 dimensions/);
  });

  test('tensors beyond the end of the file (CVE-2026-7482), overlapping, with gaps, or followed by more', () => {
    refused({ infos: [tensorInfo('w', [8], 0, 2n ** 63n)], data }, /lies beyond the end/);
    refused({ infos: [tensorInfo('w', [9], 0, 0)], data }, /ends at byte|lies beyond/);
    refused({ infos: [tensorInfo('w', [16], 0, 0)], data }, /ends at byte/);
    const two = (offset: number) => [one, tensorInfo('v', [8], 0, offset)];
    refused({ infos: two(0), data: Buffer.alloc(64) }, /starts at offset 0, expected was 32/);
    refused({ infos: two(16), data: Buffer.alloc(64) }, /starts at offset 16, expected was 32/);
    refused({ infos: two(64), data: Buffer.alloc(96) }, /starts at offset 64, expected was 32/);
    refused({ infos: [one], data: Buffer.alloc(64) }, /its tensors end at byte/);
    refused({ infos: [one, one], data }, /two tensors are named "w"/);
  });

  test('an alignment of zero, without end or no power of two', () => {
    for (const value of [0, 3, 48, 131_072, 0xffffffff]) {
      refused({ entries: [entry('general.alignment', { type: 'u32', value })] }, /general.alignment is/);
    }
    refused({ entries: [entry('general.alignment', { type: 'string', value: '32' })] }, /general.alignment is 32/);
    writeFileSync(
      path,
      ggufBytes({
        entries: [entry('general.alignment', { type: 'u32', value: 64 })],
        infos: [one],
        data,
        alignment: 64,
      }),
    );
    assert.equal(openGguf(path).tensors.get('w')!.begin % 64, 0);
  });

  test('types of tensors and values that do not exist, and rows that are no whole blocks', () => {
    refused({ infos: [tensorInfo('w', [8], 99, 0)], data }, /is of type number 99/, 'unsupported');
    refused({ infos: [tensorInfo('w', [8], 0xffffffff, 0)], data }, /type number 4294967295/, 'unsupported');
    refused({ infos: [tensorInfo('w', [256], 16, 0)], data }, /is of type IQ2_XXS; supported are F32/, 'unsupported');
    refused({ infos: [tensorInfo('w', [8], 8, 0)], data }, /rows of 8, no multiple of 32/);
    refused({ entries: [entry('k', { raw: u32(13) })] }, /"k" is of type 13; known are 0 to 12/);
    refused({ entries: [entry('k', { raw: Buffer.concat([u32(9), u32(200), u64(1)]) })] }, /of type 200/);
  });

  test('arrays of arrays, endless arrays and texts, truth values that are neither, text that is not UTF-8', () => {
    const array = (type: number, length: number | bigint, rest = Buffer.alloc(0)) =>
      entry('k', { raw: Buffer.concat([u32(9), u32(type), u64(length), rest]) });
    refused({ entries: [array(9, 1, Buffer.alloc(64))] }, /"k" is an array of arrays/);
    refused({ entries: [array(4, 2n ** 62n)] }, /claims 4611686018427387904 elements of "k"/);
    refused(
      { entries: [array(8, 1000, Buffer.alloc(64))] },
      /elements of "k"; at most 4194304 are read, and the file has room for/,
    );
    refused(
      { entries: [entry('k', { raw: Buffer.concat([u32(8), text('x', 2n ** 63n)]) })] },
      /a text of 9223372036854775808 bytes/,
    );
    refused(
      { entries: [entry('k', { raw: Buffer.concat([u32(8), text('x', 1000)]) })] },
      /it ends at byte|within its metadata/,
    );
    refused({ entries: [text('x', 70_000)] }, /a text of 70000 bytes; at most 65535|metadata entries/);
    refused(
      { entries: [entry('k', { raw: Buffer.concat([u32(7), Buffer.of(2)]) })] },
      /a truth value at byte \d+ is 2/,
    );
    refused({ entries: [entry('k', { raw: Buffer.concat([u32(8), u64(2), Buffer.of(0xff, 0xfe)]) })] }, /is not UTF-8/);
    const twice = entry('k', { type: 'u8', value: 1 });
    refused({ entries: [twice, twice] }, /two metadata entries are named "k"/);
  });

  test('or loads 600 mutations of whole models, and never fails otherwise', () => {
    for (let i = 0; i < 600; i++) loadsOrRefuses(path, mutationOf(i));
  });
});
