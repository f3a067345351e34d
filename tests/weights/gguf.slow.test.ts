/**
 * A real GGUF file against the reference programs (gguf-py and llama.cpp in the environment that PARETUNE_PEERS names),
 * and 10,000 damaged files.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { weightSpecs } from '../../src-main/engine/model/weight-specs.ts';
import { makePolicy } from '../../src-main/engine/runtime/policy.ts';
import { ggufTokenizer } from '../../src-main/engine/text/gguf-tokenizer.ts';
import { preTokenizerNames } from '../../src-main/engine/text/gguf-pre-tokenizers.ts';
import { makeTokenizer } from '../../src-main/engine/text/tokenizer.ts';
import { openGguf, rowsOf } from '../../src-main/engine/weights/gguf.ts';
import { dequantize } from '../../src-main/engine/weights/gguf-blocks.ts';
import { openGgufModel } from '../../src-main/engine/weights/gguf-model.ts';
import { lacks, python } from '../python-peers.ts';
import { everyPosition, sequenceNumbers } from '../golden/model-fixture.ts';
import { ggufPath } from './gguf-fixtures.ts';
import { loadsOrRefuses, mutationOf } from './gguf-mutations.ts';
import { realModel } from './smollm2.ts';
import { variedTexts } from './varied-texts.ts';

const folder = mkdtempSync(join(tmpdir(), 'paretune-gguf-'));
after(() => rmSync(folder, { recursive: true }));

const noGguf = lacks('gguf');
const noLlama = lacks('gguf', 'llama_cpp');
const real = realModel();
after(() => 'remove' in real && real.remove());

function askReference(question: object): unknown {
  const script = join(import.meta.dirname, 'peers', 'gguf_reference.py');
  const child = spawnSync(python, [script], { input: JSON.stringify(question), encoding: 'utf8', maxBuffer: 2 ** 30 });
  assert.equal(child.status, 0, child.stderr);
  return JSON.parse(child.stdout);
}

test('10,000 damaged files load or are refused, in little memory', () => {
  for (let i = 0; i < 100; i++) loadsOrRefuses(join(folder, 'x.gguf'), mutationOf(i));
  const before = process.resourceUsage().maxRSS;
  let loaded = 0;
  let slowest = 0;
  for (let i = 0; i < 10_000; i++) {
    const began = performance.now();
    if (loadsOrRefuses(join(folder, 'x.gguf'), mutationOf(i))) loaded++;
    slowest = Math.max(slowest, performance.now() - began);
  }
  const grown = (process.resourceUsage().maxRSS - before) / 1024;
  assert.ok(loaded > 500 && loaded < 9500, `${loaded} loaded`);
  assert.ok(grown < 400, `memory grew by ${grown} MB`);
  assert.ok(slowest < 5000, `one took ${slowest} ms`);
});

describe('SmolLM2-135M-Instruct in Q4_1', { skip: 'skip' in real && real.skip }, () => {
  const path = 'path' in real ? real.path : '';

  test('has the weights that gguf-py dequantizes, bit for bit', { skip: noGguf }, () => {
    const expected = askReference({ do: 'weights', model: path }) as Record<string, string>;
    const file = openGguf(path);
    assert.deepEqual([...file.tensors.keys()].sort(), Object.keys(expected).sort());
    for (const [name, { type }] of file.tensors) {
      const sum = createHash('sha256');
      for (const rows of rowsOf(file, name, null)) sum.update(new Uint8Array(dequantize(type, rows).buffer));
      assert.equal(sum.digest('hex'), expected[name], name);
    }
  });

  test("has llama.cpp's tokens for 1,000 varied texts, with every pre-tokenizer", { skip: noLlama }, () => {
    const { metadata } = openGguf(path);
    const texts = variedTexts(1000, 1).map((text) => text.normalize('NFC'));
    for (const pre of preTokenizerNames) {
      const special = pre === 'smollm';
      const theirs = askReference({ do: 'tokens', model: path, pre, texts, special }) as number[][];
      const files = ggufTokenizer(new Map<string, unknown>(metadata).set('tokenizer.ggml.pre', pre), path)!;
      const tokenizer = makeTokenizer(files.tokenizerJson, files.tokenizerConfig);
      for (const [i, text] of texts.entries())
        assert.deepEqual(tokenizer.encode(text, { special }), theirs[i], `${pre}: ${text}`);
    }
  });

  test("has llama.cpp's logits: the same in float32, close to its product with blocks", { skip: noLlama }, async () => {
    const model = openGgufModel(path);
    const { tokenizerJson, tokenizerConfig } = ggufTokenizer(model.file.metadata, path)!;
    const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8');
    const tokenizer = makeTokenizer(tokenizerJson, tokenizerConfig);
    const tokens = tokenizer.encode(readme.slice(0, 1500), { special: false }).slice(0, 120);
    const theirsOf = (file: string) => {
      askReference({ do: 'logits', model: file, tokens, to: join(folder, 'logits') });
      return new Float32Array(Uint8Array.from(readFileSync(join(folder, 'logits'))).buffer);
    };
    const weights = new Map(weightSpecs(model.config).map(({ name }) => [name, model.readWeight(name)]));
    const { logits } = await sequenceNumbers(makePolicy(model.config, weights, null, 0), [everyPosition(tokens)]);
    const blocks = compare(logits, theirsOf(path), model.config.vocabSize);
    // llama.cpp rounds activations to 8 bits where weights are blocks
    assert.ok(blocks.kl <= 0.01 && blocks.agreement >= 0.95, JSON.stringify(blocks));
    askReference({ do: 'plain', model: path, to: join(folder, 'plain.gguf') });
    const plain = theirsOf(join(folder, 'plain.gguf'));
    const { kl, agreement } = compare(logits, plain, model.config.vocabSize);
    const largest = logits.reduce((most, x, i) => Math.max(most, Math.abs(x - plain[i])), 0);
    assert.ok(kl <= 1e-6 && agreement === 1 && largest <= 1e-3, JSON.stringify({ kl, agreement, largest }));
  });
});

for (const family of ['llama', 'phi3', 'gemma2'] as const) {
  test(`the SentencePiece vocabulary of the ${family} file has llama.cpp's tokens for 1,000 varied texts`, {
    skip: noLlama,
  }, () => {
    const path = ggufPath(family);
    const { tokenizerJson, tokenizerConfig } = ggufTokenizer(openGguf(path).metadata, family)!;
    const tokenizer = makeTokenizer(tokenizerJson, tokenizerConfig);
    const texts = variedTexts(1000, 2);
    for (const special of [false, true]) {
      const theirs = askReference({ do: 'tokens', model: path, pre: null, texts, special }) as number[][];
      for (const [i, text] of texts.entries()) assert.deepEqual(tokenizer.encode(text, { special }), theirs[i], text);
    }
  });
}

/** Mean KL(theirs || ours) in nats and the share of positions with the same likeliest token; logits [T][V]. */
function compare(ours: Float32Array, theirs: Float32Array, vocabulary: number): { kl: number; agreement: number } {
  assert.equal(ours.length, theirs.length);
  const rows = ours.length / vocabulary;
  const logProbabilities = (row: Float32Array) => {
    const most = row.reduce((a, b) => Math.max(a, b));
    const total = most + Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0));
    return row.map((x) => x - total);
  };
  let kl = 0;
  let agreed = 0;
  for (let row = 0; row < rows; row++) {
    const p = logProbabilities(theirs.subarray(row * vocabulary, (row + 1) * vocabulary));
    const q = logProbabilities(ours.subarray(row * vocabulary, (row + 1) * vocabulary));
    kl += p.reduce((sum, x, i) => sum + Math.exp(x) * (x - q[i]), 0) / rows;
    if (p.indexOf(Math.max(...p)) === q.indexOf(Math.max(...q))) agreed++;
  }
  return { kl, agreement: agreed / rows };
}
