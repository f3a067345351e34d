/**
 * Puts the libraries that make CUDA a provider where onnxruntime-node looks for them. npm does not carry them: they are
 * either fetched by the package's own installer (script/install.js of onnxruntime-node, from NuGet), or copied from a folder
 * for machines without network. Such a folder has a SHA256SUMS file beside the libraries, as `sha256sum` writes it: an
 * installation that fetched them leaves one, so that its folder can be carried to another machine as it is.
 *
 * Nothing here is done unless the user asks for it. Whether a device is there is another question (providers.ts).
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ParetuneError } from '../../contract/errors.ts';
import { requireFreeBytes } from '../base/atomic-file.ts';
import { cudaFolder, cudaLibraries, cudaLibraryProblem } from './cuda-library.ts';
import { runtimeVersion } from './session.ts';

export type InstallOptions = {
  /** where the libraries lie, with their SHA256SUMS; null: they are fetched */
  from: string | null;
  onProgress?(what: string): void;
  /** where they go; onnxruntime-node's own folder unless told otherwise */
  into?: string;
  /** the version of ONNX Runtime that will load them */
  version?: string;
  /** the script that fetches them into `into` */
  installer?: string;
  system?: string;
};

export type Installed = { folder: string; version: string; files: { name: string; bytes: number; sha256: string }[] };

/** What a file of sums is called, and the most that is read of one. */
const SUMS = 'SHA256SUMS';
const mostSumBytes = 65_536;

/**
 * Installs the libraries. Errors: `unsupported` (another system, or libraries of another version), `not-found` (a file is
 * missing, or nothing can be fetched), `bad-file` (a file is not what its sum says), `disk`. A refused folder changes nothing.
 */
export async function installCuda(options: InstallOptions): Promise<Installed> {
  const { from, onProgress = () => {}, into = cudaFolder(), version = runtimeVersion } = options;
  const { system = `${process.platform} ${process.arch}`, installer = ownInstaller() } = options;
  if (system !== 'linux x64') {
    throw new ParetuneError('unsupported', `ONNX Runtime has CUDA for Node on linux x64 only, not on ${system}.`, {
      hint: 'The provider webgpu needs a graphics driver only.',
    });
  }
  if (from === null) {
    onProgress('fetching the CUDA libraries, some hundred megabytes');
    await fetchLibraries(installer, version);
    requireFitting(into, version);
  } else {
    requireFitting(from, version);
    await copyLibraries(from, into, await checkedSums(from, onProgress), onProgress);
  }
  onProgress('checking what was installed');
  const files: Installed['files'] = [];
  for (const name of cudaLibraries) {
    const path = join(into, name);
    files.push({ name, bytes: statSync(path).size, sha256: await sha256Of(path) });
  }
  if (from === null) {
    await onDisk(into, () =>
      writeFile(join(into, SUMS), files.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join('')),
    );
  }
  return { folder: into, version, files };
}

function ownInstaller(): string {
  return join(dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json')), 'script', 'install.js');
}

function requireFitting(folder: string, version: string): void {
  const problem = cudaLibraryProblem(folder, version);
  if (problem === null) return;
  const code = cudaLibraries.every((name) => existsSync(join(folder, name))) ? 'unsupported' : 'not-found';
  throw new ParetuneError(code, problem, { hint: offlineHint(version) });
}

/**
 * Runs the package's installer, which looks neither at sums nor at the version that it got. Of all it says it understands, it
 * takes only `true` for a wish: `cuda12` counts as none, and under npm it then does nothing and says nothing (1.30.0).
 */
async function fetchLibraries(installer: string, version: string): Promise<void> {
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'true', ELECTRON_RUN_AS_NODE: '1' };
  const failure = await new Promise<string | null>((done) => {
    execFile(process.execPath, [installer], { env, maxBuffer: 2 ** 20 }, (error, _, stderr) => {
      done(error === null ? null : reasonOf(stderr) || error.message);
    });
  });
  if (failure === null) return;
  throw new ParetuneError('not-found', `The CUDA libraries cannot be fetched: ${failure}`, {
    hint: offlineHint(version),
  });
}

/** The line of Node's report of an uncaught error that says what it was. */
function reasonOf(stderr: string): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.findLast((line) => line !== '') ?? '';
}

function offlineHint(version: string): string {
  return [
    'Without network: run `paretune doctor --install-cuda` on a machine that has one and copy the folder that it names, or take',
    `${cudaLibraries.join(' and ')} out of the NuGet package Microsoft.ML.OnnxRuntime.Gpu.Linux ${version} (a ZIP file) and write`,
    `their sums with \`sha256sum *.so > ${SUMS}\`; then \`paretune doctor --install-cuda FOLDER\`.`,
  ].join(' ');
}

/** The sums of a folder's libraries by name, each compared with its file. */
async function checkedSums(folder: string, onProgress: (what: string) => void): Promise<Map<string, string>> {
  const path = join(folder, SUMS);
  if (!existsSync(path)) {
    throw new ParetuneError('not-found', `There is no ${SUMS} in ${folder}: the libraries cannot be checked.`, {
      hint: `Write it where they come from: \`sha256sum *.so > ${SUMS}\`.`,
    });
  }
  const sums = statSync(path).size > mostSumBytes ? new Map<string, string>() : parseSums(readFileSync(path, 'utf8'));
  for (const name of cudaLibraries) {
    const expected = sums.get(name);
    if (expected === undefined) {
      throw new ParetuneError('bad-file', `${path} has no SHA-256 of ${name}.`, {
        hint: 'Each line is 64 hexadecimal digits, two spaces and a name.',
      });
    }
    onProgress(`checking ${name}`);
    const found = await sha256Of(join(folder, name));
    if (found === expected) continue;
    throw new ParetuneError(
      'bad-file',
      `${join(folder, name)} has the SHA-256 ${found}, but ${SUMS} says ${expected}.`,
      {
        hint: 'The file was cut short or changed on its way: copy it again. Nothing was installed.',
      },
    );
  }
  return sums;
}

function parseSums(text: string): Map<string, string> {
  const lines = text.split('\n').flatMap((line) => /^([0-9a-f]{64}) [ *](?:\.\/)?([^/\\]+?)\s*$/i.exec(line) ?? []);
  const sums = new Map<string, string>();
  for (let i = 0; i < lines.length; i += 3) sums.set(lines[i + 2], lines[i + 1].toLowerCase());
  return sums;
}

/** All are written beside their places and checked there before the first one is put in place. */
async function copyLibraries(
  from: string,
  into: string,
  sums: ReadonlyMap<string, string>,
  onProgress: (what: string) => void,
): Promise<void> {
  const part = (name: string) => join(into, `.${name}.part-${process.pid}`);
  try {
    const needed = cudaLibraries.reduce((sum, name) => sum + statSync(join(from, name)).size, 0);
    await onDisk(into, async () => void (await mkdir(into, { recursive: true })));
    requireFreeBytes(into, needed, 'The copy of the CUDA libraries');
    await onDisk(into, async () => {
      for (const name of cudaLibraries) {
        onProgress(`copying ${name}`);
        await copyFile(join(from, name), part(name));
        if ((await sha256Of(part(name))) !== sums.get(name)) throw new Error(`${name} was not written as it was read`);
      }
      for (const name of cudaLibraries) await rename(part(name), join(into, name));
    });
  } finally {
    for (const name of cudaLibraries) await rm(part(name), { force: true });
  }
}

/** Work on the folder of onnxruntime-node, whose failures are `disk` errors. */
async function onDisk(folder: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    throw new ParetuneError('disk', `The CUDA libraries cannot be written to ${folder}: ${(cause as Error).message}`, {
      cause,
      hint: 'The folder belongs to the installation of Paretune: free space there, or use an account that may write to it.',
    });
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
