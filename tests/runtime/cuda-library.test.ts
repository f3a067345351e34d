/** A CUDA library that is missing or of another version is refused with its name, its place and the version that is needed. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cudaFolder, cudaLibraryProblem, whyNotLoadable } from '../../src-main/engine/runtime/cuda-library.ts';
import { requireDevice } from '../../src-main/engine/runtime/providers.ts';
import { builtInProviders, runtimeVersion } from '../../src-main/engine/runtime/session.ts';
import { temporaryFolder } from '../run/starter.ts';

const put = (folder: string, name: string, content: string | Buffer) =>
  writeFileSync(join(folder, `libonnxruntime_providers_${name}.so`), content);

test('missing libraries are named with the folder where they belong', (t) => {
  const folder = temporaryFolder(t);
  assert.match(cudaLibraryProblem(folder, '1.30.0')!, /providers_shared\.so and .*providers_cuda\.so are not in \//);
  put(folder, 'shared', '');
  assert.match(cudaLibraryProblem(folder, '1.30.0')!, /^libonnxruntime_providers_cuda\.so is not in/);
});

test('a library of another version is refused, one of this version is not, wherever in the file its version stands', (t) => {
  const folder = temporaryFolder(t);
  put(folder, 'shared', '');
  put(folder, 'cuda', 'ELF\x001.26.0\x00rest');
  assert.match(cudaLibraryProblem(folder, '1.30.0')!, /is not of ONNX Runtime 1\.30\.0/);
  put(folder, 'cuda', 'ELF\x001.30.01\x00rest');
  assert.notEqual(cudaLibraryProblem(folder, '1.30.0'), null);
  for (const before of [0, 5, 4 * 2 ** 20 - 3, 4 * 2 ** 20, 9 * 2 ** 20 + 1]) {
    put(folder, 'cuda', Buffer.concat([Buffer.alloc(before, 1), Buffer.from('\x001.30.0\x00'), Buffer.alloc(9, 1)]));
    assert.equal(cudaLibraryProblem(folder, '1.30.0'), null, `${before} bytes before it`);
  }
});

test('the loader says itself why it cannot load a library', (t) => {
  const folder = temporaryFolder(t);
  put(folder, 'cuda', 'no library at all');
  assert.match(whyNotLoadable(folder), /providers_cuda\.so.*(header|too short|not)/);
});

const hasCuda = builtInProviders().includes('cuda');
const absent = hasCuda && cudaLibraryProblem(cudaFolder(), runtimeVersion) !== null;
test('a run on CUDA without its library is refused with what is missing', {
  skip: !absent && 'CUDA is here',
}, async () => {
  await assert.rejects(requireDevice('cuda'), {
    code: 'unsupported',
    message: /libonnxruntime_providers_cuda\.so/,
    hint: /CUDA 12.*--provider cpu/s,
  });
});
