/**
 * The libraries that make CUDA a provider: whether they are there, of the version of ONNX Runtime that would load them, and
 * loadable. ONNX Runtime 1.30.0 itself says no more than "Failed to load shared library", and looks at no version.
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Two files; TensorRT's, which ONNX Runtime would have a third for, is not used. */
export const cudaLibraries = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];

/** Where onnxruntime-node looks for them on Linux x64. */
export function cudaFolder(): string {
  const home = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  return join(home, 'bin', 'napi-v6', 'linux', 'x64');
}

/** Why the libraries in a folder cannot serve this version of ONNX Runtime; null if nothing is known against them. */
export function cudaLibraryProblem(folder: string, version: string): string | null {
  const missing = cudaLibraries.filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0) return `${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not in ${folder}.`;
  const library = join(folder, cudaLibraries[1]);
  if (holdsText(library, `\0${version}\0`)) return null;
  return `${library} is not of ONNX Runtime ${version}, which is the one that is installed.`;
}

/** The loader's own reason why the CUDA library cannot be loaded: a library of CUDA or cuDNN that is missing, mostly. */
export function whyNotLoadable(folder: string): string {
  try {
    process.dlopen({ exports: {} }, join(folder, cudaLibraries[1]));
  } catch (error) {
    // Node complains that it is no module of Node's: then it was loaded, and the fault is another
    const { message } = error as Error;
    return /self-register/.test(message) ? '' : message;
  }
  return '';
}

const BLOCK = 4 * 2 ** 20;

/** Whether a file holds a text, read in blocks: the library has hundreds of megabytes. */
function holdsText(path: string, text: string): boolean {
  const file = openSync(path, 'r');
  try {
    const wanted = Buffer.from(text, 'latin1');
    const block = Buffer.alloc(BLOCK + wanted.length);
    let kept = 0;
    for (;;) {
      const read = readSync(file, block, kept, BLOCK, null);
      if (read === 0) return false;
      const length = kept + read;
      if (block.subarray(0, length).includes(wanted)) return true;
      // what a text that lies across two blocks begins with
      kept = Math.min(length, wanted.length - 1);
      block.copyWithin(0, length - kept, length);
    }
  } finally {
    closeSync(file);
  }
}
