/** The libraries for CUDA, made up: what is installed, what is refused and why, and that a refused folder changes nothing. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type InstallOptions, installCuda } from '../../src-main/engine/runtime/cuda-install.ts';
import { cudaFolder, cudaLibraries, cudaLibraryProblem } from '../../src-main/engine/runtime/cuda-library.ts';
import { temporaryFolder } from '../run/starter.ts';

const [shared, cuda] = cudaLibraries;
const version = '1.30.0';
const libraries = { [shared]: 'ELF shared', [cuda]: `ELF cuda\0${version}\0code` };
const sumOf = (content: string) => createHash('sha256').update(content).digest('hex');
const sumsOf = (files: Record<string, string>) =>
  Object.entries(files)
    .map(([name, content]) => `${sumOf(content)}  ${name}\n`)
    .join('');

/** A folder as it is carried to a machine without network; `sums` null leaves its file of sums out. */
function carried(
  t: TestContext,
  files: Record<string, string> = libraries,
  sums: string | null = sumsOf(files),
): string {
  const folder = temporaryFolder(t);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  if (sums !== null) writeFileSync(join(folder, 'SHA256SUMS'), sums);
  return folder;
}

function install(t: TestContext, options: Partial<InstallOptions>) {
  const into = join(temporaryFolder(t), 'bin');
  const installed = installCuda({ from: null, into, version, system: 'linux x64', ...options });
  return { into, installed };
}

/** A script in place of the package's installer. */
function installerOf(t: TestContext, code: string): string {
  const script = join(temporaryFolder(t), 'install.cjs');
  writeFileSync(script, code);
  return script;
}

test('a folder with the right sums is copied, its sums in any of the usual forms', async (t) => {
  for (const sums of [
    sumsOf(libraries),
    `# made by hand\n${sumsOf(libraries).toUpperCase().replaceAll('LIBONNXRUNTIME_PROVIDERS_', 'libonnxruntime_providers_').replaceAll('SHARED.SO', 'shared.so').replaceAll('CUDA.SO', 'cuda.so')}`,
    sumsOf(libraries).replaceAll('  ', ' *./').replaceAll('\n', '\r\n'),
  ]) {
    const told: string[] = [];
    const { into, installed } = install(t, {
      from: carried(t, libraries, sums),
      onProgress: (what) => told.push(what),
    });
    const { files, folder } = await installed;
    assert.equal(folder, into);
    assert.deepEqual(
      files,
      cudaLibraries.map((name) => ({ name, bytes: libraries[name].length, sha256: sumOf(libraries[name]) })),
    );
    for (const name of cudaLibraries) assert.equal(readFileSync(join(into, name), 'latin1'), libraries[name]);
    assert.equal(cudaLibraryProblem(into, version), null);
    assert.deepEqual(readdirSync(into).sort(), [...cudaLibraries].sort());
    assert.ok(told.some((what) => what.startsWith('copying')));
  }
});

test('a folder is refused where a library, its sum or its version is missing or wrong, and nothing is written', async (t) => {
  const older = { ...libraries, [cuda]: 'ELF cuda\x001.29.0\0code' };
  const cutShort = { ...libraries, [cuda]: libraries[cuda].slice(0, -2) };
  const cases: [folder: string, code: string, message: RegExp, hint: RegExp][] = [
    [
      carried(t, { [cuda]: libraries[cuda] }),
      'not-found',
      /providers_shared\.so is not in/,
      /NuGet package .*Gpu\.Linux 1\.30\.0/,
    ],
    [carried(t, {}), 'not-found', /shared\.so and .*cuda\.so are not in/, /without network/i],
    [carried(t, older), 'unsupported', /cuda\.so is not of ONNX Runtime 1\.30\.0/, /1\.30\.0/],
    [carried(t, libraries, null), 'not-found', /no SHA256SUMS in/, /sha256sum \*\.so > SHA256SUMS/],
    [carried(t, libraries, ''), 'bad-file', /has no SHA-256 of .*shared\.so/, /64 hexadecimal digits/],
    [carried(t, libraries, sumsOf({ [shared]: libraries[shared] })), 'bad-file', /has no SHA-256 of .*cuda\.so/, /./],
    [carried(t, libraries, 'a'.repeat(70_000)), 'bad-file', /has no SHA-256/, /./],
    [
      carried(t, cutShort, sumsOf(libraries)),
      'bad-file',
      /cuda\.so has the SHA-256 \w{64}, but SHA256SUMS says \w{64}/,
      /copy it again/,
    ],
  ];
  for (const [from, code, message, hint] of cases) {
    const { into, installed } = install(t, { from });
    await assert.rejects(installed, { code, message, hint });
    assert.equal(existsSync(into), false);
  }
});

test('a folder of the installation that cannot be written to keeps what it had', {
  skip: process.getuid?.() === 0 && 'the superuser may write everywhere',
}, async (t) => {
  const into = temporaryFolder(t);
  writeFileSync(join(into, cuda), 'before');
  chmodSync(into, 0o500);
  t.after(() => chmodSync(into, 0o700));
  await assert.rejects(install(t, { from: carried(t), into }).installed, { code: 'disk', hint: /may write to it/ });
  assert.equal(readFileSync(join(into, cuda), 'latin1'), 'before');
});

test('a place that is no folder is a fault of the disk, and no half file stays', async (t) => {
  const into = temporaryFolder(t);
  mkdirSync(join(into, shared));
  writeFileSync(join(into, shared, 'in the way'), '');
  await assert.rejects(install(t, { from: carried(t), into }).installed, {
    code: 'disk',
    message: /cannot be written to/,
  });
  assert.deepEqual(readdirSync(into), [shared]);
});

test("the package's own installer is run as it asks to be, what it got is checked, and its sums are left for other machines", async (t) => {
  const into = temporaryFolder(t);
  const content = JSON.stringify(libraries);
  const installer = installerOf(
    t,
    `if (process.env.ONNXRUNTIME_NODE_INSTALL !== 'true') throw new Error('not asked to install');
     for (const [name, content] of Object.entries(${content})) require('fs').writeFileSync(${JSON.stringify(into)} + '/' + name, content);`,
  );
  const { files } = await install(t, { into, installer }).installed;
  assert.deepEqual(
    files.map(({ name }) => name),
    [...cudaLibraries],
  );
  assert.equal(readFileSync(join(into, 'SHA256SUMS'), 'utf8'), sumsOf(libraries));
  // the folder can be carried on as it is
  const next = install(t, { from: into });
  await next.installed;
  assert.equal(cudaLibraryProblem(next.into, version), null);
});

test('what the installer got of another version is refused, and so is nothing at all', async (t) => {
  const into = temporaryFolder(t);
  const installer = installerOf(t, `require('fs').writeFileSync(${JSON.stringify(join(into, shared))}, '')`);
  await assert.rejects(install(t, { into, installer }).installed, { code: 'not-found', message: /cuda\.so is not in/ });
  writeFileSync(join(into, cuda), '\x001.26.0\0');
  await assert.rejects(install(t, { into, installer }).installed, {
    code: 'unsupported',
    message: /is not of ONNX Runtime/,
  });
});

test("without network the real installer's reason is told, and how to go on", {
  skip: `${process.platform} ${process.arch}` !== 'linux x64' && 'the installer fetches on linux x64 only',
}, async (t) => {
  const variables = {
    // the installer honours this proxy; nothing listens on port 9 of this machine
    GLOBAL_AGENT_HTTPS_PROXY: 'http://127.0.0.1:9',
    // as `npm run` sets them: the installer takes that for its own development
    npm_config_local_prefix: '/here',
    npm_package_json: '/here/package.json',
  };
  for (const [name, value] of Object.entries(variables)) {
    const before = process.env[name];
    process.env[name] = value;
    t.after(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
  const had = readdirSync(cudaFolder());
  await assert.rejects(install(t, {}).installed, {
    code: 'not-found',
    message: /^The CUDA libraries cannot be fetched: .*(ECONNREFUSED|127\.0\.0\.1)/,
    hint: /doctor --install-cuda FOLDER/,
  });
  assert.deepEqual(readdirSync(cudaFolder()), had);
});

test('on a system that has no CUDA for Node nothing is tried', async (t) => {
  const installer = installerOf(t, 'throw new Error("it was run")');
  for (const system of ['win32 x64', 'darwin arm64', 'linux arm64'])
    await assert.rejects(install(t, { system, installer }).installed, {
      code: 'unsupported',
      message: new RegExp(system),
    });
});
