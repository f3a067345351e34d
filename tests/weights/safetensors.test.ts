import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { openSafetensors, readFloatTensor, writeSafetensors } from '../../src-main/engine/weights/safetensors.ts';

const folder = mkdtempSync(join(tmpdir(), 'paretune-safetensors-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'file.safetensors');

function write(header: string, data: number | Uint8Array = 0, claimed?: bigint): void {
  const json = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(json.length));
  writeFileSync(path, Buffer.concat([length, json, typeof data === 'number' ? Buffer.alloc(data) : data]));
}

function refused(message: RegExp): void {
  assert.throws(
    () => openSafetensors(path),
    (error) =>
      error instanceof ParetuneError && error.code === 'bad-file' && message.test(error.message) && error.hint !== '',
  );
}

const tensor = (shape: number[], begin: number, end: number, dtype = 'F32') =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

describe('writeSafetensors and readFloatTensor', () => {
  test('give back the same numbers, shapes and metadata', () => {
    const tensors = new Map([
      ['b', { shape: [2, 3], data: Float32Array.of(1, -0, 3.5, 1e-40, Infinity, -2) }],
      ['a', { shape: [], data: Float32Array.of(0.1) }],
      ['empty', { shape: [0, 7], data: new Float32Array() }],
      ['__proto__', { shape: [1], data: Float32Array.of(7) }],
    ]);
    writeSafetensors(path, tensors, { metadata: { made: 'by a test' } });
    const file = openSafetensors(path);
    assert.deepEqual([...file.tensors.keys()], ['__proto__', 'a', 'b', 'empty']);
    assert.deepEqual({ ...file.metadata }, { made: 'by a test' });
    for (const [name, { shape, data }] of tensors) {
      const read = readFloatTensor(file, name);
      assert.deepEqual(read.shape, shape);
      assert.deepEqual([...read.data], [...data]);
    }
    assert.equal(file.tensors.get('__proto__')!.begin % 8, 0);
  });

  test('narrow to F16 and widen F16 and BF16', () => {
    writeSafetensors(path, new Map([['x', { shape: [3], data: Float32Array.of(1, 0.1, 1e6) }]]), { type: 'F16' });
    const file = openSafetensors(path);
    assert.equal(file.tensors.get('x')!.type, 'F16');
    assert.deepEqual([...readFloatTensor(file, 'x').data], [1, 0.0999755859375, Infinity]);
    write(`{"x":${tensor([2], 0, 4, 'BF16')}}`, new Uint8Array(Uint16Array.of(0x3f80, 0xc040).buffer));
    assert.deepEqual([...readFloatTensor(openSafetensors(path), 'x').data], [1, -3]);
  });

  test('list other types, and refuse to read them as floats', () => {
    write(`{"x":${tensor([2], 0, 16, 'I64')}}`, 16);
    const file = openSafetensors(path);
    assert.equal(file.tensors.get('x')!.type, 'I64');
    assert.throws(() => readFloatTensor(file, 'x'), /type I64; supported are F32, F16, BF16/);
  });

  test('replace a file whole and leave nothing behind when they fail', () => {
    writeSafetensors(path, new Map([['x', { shape: [1], data: Float32Array.of(1) }]]));
    const before = readFileSync(path);
    const bad = new Map([['x', { shape: [2], data: Float32Array.of(1) }]]);
    assert.throws(() => writeSafetensors(path, bad), /x has 1 values/);
    assert.deepEqual(readFileSync(path), before);
    const nowhere = join(folder, 'none', 'x.safetensors');
    assert.throws(
      () => writeSafetensors(nowhere, new Map()),
      (e) => e instanceof ParetuneError && e.code === 'disk',
    );
    assert.deepEqual(readdirSync(folder), ['file.safetensors']);
  });

  test('any tensors survive', () => {
    const shape = fc.array(fc.nat(4), { maxLength: 4 });
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), shape), (shapes) => {
        fc.pre(!Object.hasOwn(shapes, '__metadata__'));
        const tensors = new Map(
          Object.entries(shapes).map(([name, sizes]) => {
            const data = Float32Array.from({ length: sizes.reduce((a, b) => a * b, 1) }, (_, i) => i + name.length / 8);
            return [name, { shape: sizes, data }] as const;
          }),
        );
        writeSafetensors(path, tensors);
        const file = openSafetensors(path);
        assert.equal(file.tensors.size, tensors.size);
        for (const [name, { data }] of tensors) assert.deepEqual(readFloatTensor(file, name).data, data);
      }),
      { numRuns: 60 },
    );
  });
});

describe('openSafetensors refuses', () => {
  test('a file that is not there', () => {
    assert.throws(
      () => openSafetensors(join(folder, 'none')),
      (e) => e instanceof ParetuneError && e.code === 'not-found',
    );
  });

  test('a file too short for a header', () => {
    writeFileSync(path, Buffer.alloc(9));
    refused(/too few/);
  });

  test('a header longer than the file or than 100 MB', () => {
    for (const claimed of [100n, 2n ** 63n, 2n ** 64n - 1n]) {
      write('{}', 0, claimed);
      refused(/header claims/);
    }
    write('{}', 0, 100_000_001n);
    truncateSync(path, 200_000_000); // sparse: takes no room
    refused(/header claims 100000001/);
  });

  test('a header that does not start with {', () => {
    write(' {}');
    refused(/does not start with \{/);
    write('[]');
    refused(/does not start/);
  });

  test('a header that is not UTF-8, not JSON or nested too deeply', () => {
    writeFileSync(
      path,
      Buffer.concat([Buffer.from([5, 0, 0, 0, 0, 0, 0, 0]), Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])]),
    );
    refused(/not valid JSON/);
    write('{"a":}');
    refused(/no value/);
    write(`{"a":${'['.repeat(1000)}`);
    refused(/levels/);
  });

  test('duplicate names and duplicate keys', () => {
    write(`{"x":${tensor([1], 0, 4)},"x":${tensor([1], 0, 4)}}`, 4);
    refused(/duplicate key "x"/);
    write('{"x":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}}', 4);
    refused(/duplicate key "dtype"/);
  });

  test('missing, extra and mistyped fields', () => {
    for (const fields of ['"dtype":"F32","shape":[1]', '"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1']) {
      write(`{"x":{${fields}}}`, 4);
      refused(/tensor "x/);
    }
    for (const shape of ['[-1]', '[1.5]', '["1"]', '1', '[1e400]', JSON.stringify(Array(17).fill(1))]) {
      write(`{"x":{"dtype":"F32","shape":${shape},"data_offsets":[0,4]}}`, 4);
      refused(/tensor "x/);
    }
    write('{"__metadata__":{"a":1}}');
    refused(/__metadata__/);
  });

  test('an unknown type', () => {
    for (const dtype of ['Q4', 'toString', '__proto__']) {
      write(`{"x":${tensor([1], 0, 4, dtype)}}`, 4);
      refused(/known are F64, F32/);
    }
  });

  test('a size that does not follow from type and shape, also by overflow', () => {
    write(`{"x":${tensor([2], 0, 4)}}`, 4);
    refused(/cannot take/);
    write(`{"x":${tensor([1], 4, 0)}}`, 4);
    refused(/cannot take/);
    // 2^32 * 2^32 is 0 in 64 bits, and 2^53 + 1 rounds to 2^53 as a double.
    write(`{"x":${tensor([2 ** 32, 2 ** 32], 0, 0)}}`);
    refused(/cannot take/);
    write('{"x":{"dtype":"U8","shape":[3,3002399751580331],"data_offsets":[0,9007199254740992]}}');
    refused(/tensor/);
  });

  test('a tensor without elements that claims bytes, or lies outside', () => {
    write(`{"x":${tensor([0], 0, 4)}}`, 4);
    refused(/cannot take/);
    write(`{"x":${tensor([0], 8, 8)}}`);
    refused(/starts at byte/);
  });

  test('gaps, overlaps, a late start and bytes left over', () => {
    write(`{"x":${tensor([1], 4, 8)}}`, 8);
    refused(/tensor x starts/);
    write(`{"x":${tensor([1], 0, 4)},"y":${tensor([1], 8, 12)}}`, 12);
    refused(/tensor y starts/);
    write(`{"x":${tensor([2], 0, 8)},"y":${tensor([2], 4, 12)}}`, 12);
    refused(/tensor y starts/);
    write(`{"x":${tensor([1], 0, 4)}}`, 5);
    refused(/the file at/);
    write(`{"x":${tensor([2], 0, 8)}}`, 4);
    refused(/the file at/);
  });

  test('or loads 2,000 mutations of a valid file, and never fails otherwise', () => {
    const random = randomStream(7, 'mutations');
    writeSafetensors(
      path,
      new Map([
        ['model.norm.weight', { shape: [4], data: Float32Array.of(1, 2, 3, 4) }],
        ['w', { shape: [2, 2], data: Float32Array.of(5, 6, 7, 8) }],
      ]),
    );
    const original = readFileSync(path);
    let loaded = 0;
    for (let run = 0; run < 2_000; run++) {
      let bytes = Buffer.from(original);
      for (let edits = random.int(1, 3); edits > 0; edits--) {
        const at = random.int(0, bytes.length - 1);
        const kind = random.int(0, 3);
        if (kind === 0) bytes[at] ^= 1 << random.int(0, 7);
        else if (kind === 1) bytes[at] = random.pick([...Buffer.from('0123456789-e.[]{},:"\\\0')]);
        else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.int(1, 4))]);
        else bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.int(0, at), at), bytes.subarray(at)]);
      }
      writeFileSync(path, bytes);
      try {
        const file = openSafetensors(path);
        for (const name of file.tensors.keys()) readFloatTensor(file, name);
        loaded++;
      } catch (error) {
        assert.ok(error instanceof ParetuneError, String(error));
      }
    }
    assert.ok(loaded > 100 && loaded < 1_500, `${loaded} loaded`);
    assert.ok(statSync(path).isFile());
  });
});
