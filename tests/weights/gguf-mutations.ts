/** Damaged GGUF models from a seed, and what must hold of each: a clear error, or a model that can be read whole. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { weightSpecs } from '../../src-main/engine/model/weight-specs.ts';
import { ggufTokenizer } from '../../src-main/engine/text/gguf-tokenizer.ts';
import { makeTokenizer } from '../../src-main/engine/text/tokenizer.ts';
import { openGgufModel } from '../../src-main/engine/weights/gguf-model.ts';
import { ggufFamilies, ggufPath } from './gguf-fixtures.ts';

const originals = ggufFamilies.map((family) => readFileSync(ggufPath(family)));
/** Numbers that overflow, wrap, or are just beyond something. */
const EDGES = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffffffn,
  0xffffffffn,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n,
  2n ** 62n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** The `i`-th damaged file: bytes changed, edge numbers put in, cut, lengthened or shuffled; mostly in the header. */
export function mutationOf(i: number): Buffer {
  const random = randomStream(11, 'gguf', i);
  const bytes = Buffer.from(originals[i % originals.length]);
  const header = random.pick([64, 1_000, 10_000, bytes.length]);
  const place = (width: number) => random.int(0, Math.min(header, bytes.length) - width);
  for (let changes = random.int(1, 3); changes > 0; changes--) {
    const kind = random.int(0, 5);
    if (kind === 0) bytes[place(1)] = random.int(0, 255);
    else if (kind === 1) bytes[place(1)] ^= 1 << random.int(0, 7);
    else if (kind === 2) bytes.writeBigUInt64LE(random.pick(EDGES), place(8));
    else if (kind === 3) bytes.writeUInt32LE(Number(random.pick(EDGES) & 0xffffffffn), place(4));
    else if (kind === 4) bytes.copyWithin(place(64), place(64), place(1) + 64);
    else if (random.int(0, 1) === 0) return bytes.subarray(0, random.int(0, bytes.length - 1));
    else return Buffer.concat([bytes, Buffer.alloc(random.int(1, 100), random.int(0, 255))]);
  }
  return bytes;
}

/** True where the file loads. Fails on any other error than ours, and on a range outside the file. */
export function loadsOrRefuses(path: string, bytes: Buffer): boolean {
  writeFileSync(path, bytes);
  try {
    const model = openGgufModel(path);
    for (const { begin, end } of model.file.tensors.values()) assert.ok(begin <= end && end <= bytes.length);
    for (const { name, shape } of weightSpecs(model.config)) {
      assert.equal(
        model.readWeight(name).data.length,
        shape.reduce((a, b) => a * b, 1),
        name,
      );
    }
    const tokenizer = ggufTokenizer(model.file.metadata, path);
    if (tokenizer !== null) makeTokenizer(tokenizer.tokenizerJson, tokenizer.tokenizerConfig);
    return true;
  } catch (error) {
    assert.ok(error instanceof ParetuneError, `${(error as Error).stack}`);
    assert.notEqual(error.message, '');
    return false;
  }
}
