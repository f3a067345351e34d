import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import type { Json } from '../../src-main/contract/records.ts';
import type { FileSystem } from '../../src-main/engine/base/atomic-file.ts';
import { freeBytes, writeFileAtomic, writeFileDurable } from '../../src-main/engine/base/atomic-file.ts';
import {
  type CheckpointContent,
  hashTensors,
  listCheckpoints,
  loadCheckpoint,
  pruneCheckpoints,
  saveCheckpoint,
  type Tensor,
  type TensorFiles,
  type Tensors,
} from '../../src-main/engine/train/checkpoint.ts';
import { openSafetensors, readFloatTensor, writeSafetensors } from '../../src-main/engine/weights/safetensors.ts';

const root = fs.mkdtempSync(join(tmpdir(), 'paretune-checkpoint-'));
after(() => fs.rmSync(root, { recursive: true }));
let run = root;
beforeEach(() => {
  run = fs.mkdtempSync(join(root, 'run-'));
});

const safetensors: TensorFiles = {
  write: (path, tensors) => writeSafetensors(path, tensors),
  read(path) {
    const file = openSafetensors(path);
    return new Map([...file.tensors.keys()].map((name) => [name, readFloatTensor(file, name)]));
  },
};

/** Tensors as JSON, through a file system that a test can make fail. */
function plainFiles(files: FileSystem): TensorFiles {
  return {
    write: (path, tensors) =>
      writeFileDurable(path, JSON.stringify([...tensors].map(([name, t]) => [name, t.shape, [...t.data]])), files),
    read: (path) => {
      const rows = JSON.parse(fs.readFileSync(path, 'utf8')) as [string, number[], number[]][];
      return new Map(rows.map(([name, shape, data]) => [name, { shape, data: Float32Array.from(data) }]));
    },
  };
}

function tensors(step: number, names = ['embed', 'layer.0.q']): Map<string, Tensor> {
  return new Map(
    names.map((name, i) => [
      name,
      { shape: [2, 3], data: Float32Array.from({ length: 6 }, (_, k) => step + i + k / 7) },
    ]),
  );
}

function content(step: number, state: Json = { cursor: step, fewest: { a: 1 } }): CheckpointContent {
  return { step, weights: tensors(step), moments: { first: tensors(step + 100), second: tensors(step + 200) }, state };
}

function plain(map: Tensors): [string, Tensor][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

const withCode = (code: string, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ParetuneError, String(error));
  assert.equal(error.code, code);
  assert.notEqual(error.hint, '');
  if (message) assert.match(error.message, message);
  return true;
};

test('a checkpoint in safetensors files comes back bit for bit, with its record', () => {
  const saved = content(40, { ema: -0, fewest: { p1: Infinity, p2: 0.1 }, name: '\ud800', list: [null, true] });
  saved.weights = new Map([
    ...saved.weights,
    ['odd', { shape: [3], data: Float32Array.of(-0, 1e-45, Number.POSITIVE_INFINITY) }],
    ['empty', { shape: [0, 4], data: new Float32Array() }],
    ['scalar', { shape: [], data: Float32Array.of(3) }],
    // a view into a larger buffer must not carry its neighbours along
    ['view', { shape: [2], data: Float32Array.of(9, 1, 2, 9).subarray(1, 3) }],
  ]);
  const record = saveCheckpoint(run, saved, safetensors);
  const loaded = loadCheckpoint(join(run, record.folder), safetensors);
  assert.deepEqual(plain(loaded.weights), plain(saved.weights));
  assert.deepEqual(plain(loaded.moments.first), plain(saved.moments.first));
  assert.deepEqual(plain(loaded.moments.second), plain(saved.moments.second));
  assert.deepEqual(loaded.state, saved.state);
  assert.equal(loaded.step, 40);
  assert.deepEqual(loaded.record, record);
  assert.equal(record.weightsHash, hashTensors(saved.weights));
  const folder = join(run, record.folder);
  const sizes = fs.readdirSync(folder).map((name) => fs.statSync(join(folder, name)).size);
  assert.equal(
    record.bytes,
    sizes.reduce((a, b) => a + b),
  );
});

test('any state of JSON values comes back equal', () => {
  fc.assert(
    fc.property(fc.jsonValue({ depthSize: 'small' }), (state) => {
      const record = saveCheckpoint(run, content(1, state as Json), plainFiles(fs));
      assert.deepEqual(loadCheckpoint(join(run, record.folder), plainFiles(fs)).state, state);
    }),
    { numRuns: 30 },
  );
});

test('a state with NaN is refused instead of coming back as something else', () => {
  assert.throws(() => saveCheckpoint(run, content(1, { a: [Number.NaN] }), plainFiles(fs)), /NaN/);
});

test('the weights hash depends on names, shapes and bits of the weights and on nothing else', () => {
  const base = hashTensors(tensors(1));
  assert.equal(hashTensors(new Map([...tensors(1)].reverse())), base);
  assert.notEqual(hashTensors(tensors(1, ['embed', 'layer.0.k'])), base);
  const reshaped = tensors(1);
  reshaped.set('embed', { ...reshaped.get('embed')!, shape: [3, 2] });
  assert.notEqual(hashTensors(reshaped), base);
  const negated = new Map([['a', { shape: [1], data: Float32Array.of(-0) }]]);
  assert.notEqual(hashTensors(negated), hashTensors(new Map([['a', { shape: [1], data: Float32Array.of(0) }]])));
  const a = saveCheckpoint(run, content(1, { cursor: 1 }), plainFiles(fs));
  const b = saveCheckpoint(run, content(1, { cursor: 2 }), plainFiles(fs));
  assert.equal(a.weightsHash, b.weightsHash);
  assert.notEqual(a.manifestHash, b.manifestHash);
});

test('saving the same content twice gives the same folder, and repairs it where it was damaged', () => {
  const first = saveCheckpoint(run, content(3), safetensors);
  assert.deepEqual(saveCheckpoint(run, content(3), safetensors), first);
  fs.appendFileSync(join(run, first.folder, 'weights.safetensors'), 'x');
  assert.deepEqual(saveCheckpoint(run, content(3), safetensors), first);
  assert.equal(loadCheckpoint(join(run, first.folder), safetensors).step, 3);
  assert.deepEqual(fs.readdirSync(join(run, 'checkpoints')), [basename(first.folder)]);
});

test('a step that comes out differently the second time does not overwrite the first', () => {
  const first = saveCheckpoint(run, content(3, 'a'), safetensors);
  const second = saveCheckpoint(run, content(3, 'b'), safetensors);
  assert.equal(loadCheckpoint(join(run, first.folder), safetensors).state, 'a');
  assert.equal(loadCheckpoint(join(run, second.folder), safetensors).state, 'b');
});

test('every kind of damage is told: a changed bit, a missing, cut or foreign file, a broken or newer manifest', () => {
  const names = ['weights.safetensors', 'moment-1.safetensors', 'moment-2.safetensors', 'state.json'];
  for (const name of names) {
    const folder = join(run, saveCheckpoint(run, content(5), safetensors).folder);
    const path = join(folder, name);
    const bytes = fs.readFileSync(path);
    bytes[bytes.length - 2] ^= 1;
    fs.writeFileSync(path, bytes);
    assert.throws(() => loadCheckpoint(folder, safetensors), withCode('bad-file', /SHA-256/));
    assert.equal(listCheckpoints(run).length, 1, 'the list does not read whole files');
    fs.truncateSync(path, bytes.length - 1);
    assert.throws(() => loadCheckpoint(folder, safetensors), withCode('bad-file', new RegExp(`${name} has .* bytes`)));
    assert.deepEqual(listCheckpoints(run), []);
    fs.rmSync(path);
    assert.throws(() => loadCheckpoint(folder, safetensors), withCode('bad-file', new RegExp(`${name} is missing`)));
    assert.deepEqual(listCheckpoints(run), []);
    fs.rmSync(folder, { recursive: true });
  }
  const folder = join(run, saveCheckpoint(run, content(6), safetensors).folder);
  const manifest = join(folder, 'manifest.json');
  const text = fs.readFileSync(manifest, 'utf8');
  const damage: [string, string, RegExp][] = [
    [text.slice(0, -5), 'bad-file', /not JSON/],
    [text.replace('"version": 1', '"version": 2'), 'unsupported', /version 2; this program reads 1/],
    [text.replace('"step": 6', '"step": -6'), 'bad-file', /step/],
    [text.replace('"state.json"', '"../state.json"'), 'bad-file', /does not list exactly/],
    [text.replace(/"weightsHash": "../, '"weightsHash": "00'), 'bad-file', /hash of its weights/],
  ];
  for (const [broken, code, message] of damage) {
    assert.notEqual(broken, text);
    fs.writeFileSync(manifest, broken);
    assert.throws(() => loadCheckpoint(folder, safetensors), withCode(code, message));
  }
  fs.rmSync(manifest);
  assert.throws(() => loadCheckpoint(folder, safetensors), withCode('not-found'));
  assert.deepEqual(listCheckpoints(run), []);
});

test('pruning keeps the named steps and sweeps up what a killed save or a killed prune left', () => {
  for (const step of [30, 10, 20, 1_000_000]) saveCheckpoint(run, content(step), safetensors);
  assert.deepEqual(
    listCheckpoints(run).map(({ step }) => step),
    [10, 20, 30, 1_000_000],
  );
  const parent = join(run, 'checkpoints');
  fs.mkdirSync(join(parent, '.unfinished-1'));
  fs.mkdirSync(join(parent, 'step-000005-00000000'));
  fs.writeFileSync(join(parent, 'step-000005-00000000', 'weights.safetensors'), 'half deleted');
  assert.deepEqual(pruneCheckpoints(run, new Set([20, 30])), [10, 1_000_000]);
  assert.deepEqual(
    fs.readdirSync(parent).map((name) => name.slice(0, 11)),
    ['step-000020', 'step-000030'],
  );
  assert.deepEqual(pruneCheckpoints(run, new Set([20, 30])), []);
  assert.deepEqual(pruneCheckpoints(join(run, 'never'), new Set()), []);
  assert.deepEqual(listCheckpoints(join(run, 'never')), []);
});

/** A file system whose call number `failAt` throws; `count` says how many calls were made. */
function failing(failAt: number, code: string): { files: FileSystem; count: () => number } {
  let calls = 0;
  const guard = (what: string) => {
    calls++;
    if (calls === failAt) throw Object.assign(new Error(`${code}: injected, ${what}`), { code });
  };
  const files: FileSystem = {
    ...fs,
    openSync: (path, flags, mode) => {
      guard('open');
      return fs.openSync(path, flags, mode);
    },
    writeSync: ((file: number, bytes: Uint8Array, offset: number, length: number) => {
      guard('write');
      // a disk that fills up takes a part first
      return fs.writeSync(file, bytes, offset, Math.min(length, 64));
    }) as FileSystem['writeSync'],
    fsyncSync: (file) => {
      guard('fsync');
      fs.fsyncSync(file);
    },
    renameSync: (from, to) => {
      guard('rename');
      fs.renameSync(from, to);
    },
    mkdirSync: ((path: string, options: fs.MakeDirectoryOptions) => {
      guard('mkdir');
      return fs.mkdirSync(path, options);
    }) as FileSystem['mkdirSync'],
    statfsSync: ((path: string) => {
      guard('statfs');
      return fs.statfsSync(path);
    }) as FileSystem['statfsSync'],
  };
  return { files, count: () => calls };
}

test('ENOSPC or EACCES at any single call of a save leaves the earlier checkpoint whole and no half of the new one', () => {
  const earlier = saveCheckpoint(run, content(10), plainFiles(fs));
  const dry = failing(Number.POSITIVE_INFINITY, '');
  const reference = saveCheckpoint(fs.mkdtempSync(join(root, 'run-')), content(20), plainFiles(dry.files), dry.files);
  assert.ok(dry.count() > 30, `${dry.count()} calls`);
  let refused = 0;
  for (const code of ['ENOSPC', 'EACCES']) {
    for (let call = 1; call <= dry.count(); call++) {
      const { files } = failing(call, code);
      try {
        // the flush of a folder is best effort: a failure there does not lose the checkpoint
        assert.deepEqual(saveCheckpoint(run, content(20), plainFiles(files), files), reference);
        pruneCheckpoints(run, new Set([10]));
      } catch (error) {
        withCode('disk', /injected/)(error);
        refused++;
      }
      assert.deepEqual(listCheckpoints(run), [earlier], `after ${code} at call ${call}`);
      assert.deepEqual(fs.readdirSync(join(run, 'checkpoints')), [basename(earlier.folder)]);
    }
  }
  assert.ok(refused > dry.count(), `${refused} of ${2 * dry.count()} calls were refused`);
  assert.deepEqual(plain(loadCheckpoint(join(run, earlier.folder), plainFiles(fs)).weights), plain(tensors(10)));
  assert.deepEqual(saveCheckpoint(run, content(20), plainFiles(fs)), reference, 'with space again it goes on');
});

test('a checkpoint that does not fit is refused before a byte is written', () => {
  const files: FileSystem = {
    ...fs,
    statfsSync: (() => ({ bavail: 1, bsize: 4096 })) as unknown as FileSystem['statfsSync'],
  };
  assert.throws(
    () => saveCheckpoint(run, content(1), safetensors, files),
    withCode('disk', /step 1 needs 2 MB, 1 MB are free/),
  );
  assert.deepEqual(fs.readdirSync(join(run, 'checkpoints')), []);
});

test('an atomic write replaces the whole file or, at any failing call, nothing', () => {
  const path = join(run, 'file.json');
  writeFileAtomic(path, 'old');
  const dry = failing(Number.POSITIVE_INFINITY, '');
  writeFileAtomic(path, 'x'.repeat(200), dry.files);
  assert.equal(fs.readFileSync(path, 'utf8'), 'x'.repeat(200));
  for (let call = 1; call <= dry.count(); call++) {
    writeFileAtomic(path, 'old');
    let outcome = 'new'.repeat(50);
    try {
      writeFileAtomic(path, outcome, failing(call, 'ENOSPC').files);
    } catch (error) {
      withCode('disk', /file\.json could not be written/)(error);
      outcome = 'old';
    }
    assert.equal(fs.readFileSync(path, 'utf8'), outcome);
    assert.deepEqual(fs.readdirSync(run), ['file.json']);
  }
  assert.throws(() => writeFileAtomic(join(run, 'no', 'folder'), 'x'), withCode('disk'));
});

test('free space is what the system says, and a missing folder is an error with a way out', () => {
  const { bavail, bsize } = fs.statfsSync(run);
  assert.ok(Math.abs(freeBytes(run) - bavail * bsize) < 2 ** 32);
  assert.throws(() => freeBytes(join(run, 'nowhere')), withCode('disk', /nowhere/));
});
