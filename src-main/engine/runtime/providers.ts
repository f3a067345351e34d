/**
 * Which providers can compute on this machine, and why not. Two questions: was ONNX Runtime built with it (by operating
 * system), and is there a device (a session that adds two numbers). That its numbers are right is another: run/numerics-gate.ts.
 */
import { ParetuneError } from '../../contract/errors.ts';
import type { ProviderName } from '../../contract/providers.ts';
import { cudaFolder, cudaLibraryProblem, whyNotLoadable } from './cuda-library.ts';
import { addsTwoNumbers, builtInProviders, runtimeVersion } from './session.ts';

/** Where onnxruntime-node has each provider, and what a machine needs beside it. */
const homes: Record<ProviderName, { systems: string; needs: string }> = {
  cpu: { systems: 'every system', needs: '' },
  webgpu: {
    systems: 'Windows, macOS on arm64 and Linux on x64',
    needs:
      'It needs a graphics driver: Vulkan (libvulkan.so.1 and a driver) on Linux, Direct3D 12 on Windows, Metal on macOS.',
  },
  cuda: {
    systems: 'Linux on x64',
    needs:
      "It needs NVIDIA's driver, CUDA 12 with cuDNN 9, and its libraries of ONNX Runtime: `paretune doctor --install-cuda`.",
  },
  dml: { systems: 'Windows', needs: 'It needs a graphics card with Direct3D 12.' },
};

/** What a machine needs for a provider, as a sentence. */
export function needsOf(provider: ProviderName): string {
  return homes[provider].needs.replace(/^It/, provider);
}

/** Whether the installed ONNX Runtime has the provider at all: throws `unsupported` where it has not. */
export function requireBuiltIn(
  provider: ProviderName,
  builtIn: readonly string[] = builtInProviders(),
  system = `${process.platform} ${process.arch}`,
): void {
  if (builtIn.includes(provider)) return;
  throw new ParetuneError(
    'unsupported',
    `The provider ${provider} is not part of ONNX Runtime on this system (${system}). It exists on ${homes[provider].systems}; here there are: ${builtIn.join(', ')}.`,
    { hint: `Choose another provider, for example \`--provider cpu\`. ${homes[provider].needs}`.trim() },
  );
}

/** Adds two numbers on the provider, the CPU forbidden. Throws `unsupported` with the driver's words where that fails. */
export async function requireDevice(provider: ProviderName): Promise<void> {
  requireBuiltIn(provider);
  const problem = provider === 'cuda' ? cudaLibraryProblem(cudaFolder(), runtimeVersion) : null;
  if (problem !== null) throw notHere(provider, problem);
  try {
    if (await addsTwoNumbers(provider)) return;
  } catch (error) {
    const loader = provider === 'cuda' ? whyNotLoadable(cudaFolder()) : '';
    throw notHere(provider, [lastWords(error), loader].filter(Boolean).join('; '), error);
  }
  throw new ParetuneError('unsupported', `The provider ${provider} cannot add two numbers rightly.`, {
    hint: 'Update the graphics driver, or use `--provider cpu`.',
  });
}

function notHere(provider: ProviderName, reason: string, cause?: unknown): ParetuneError {
  return new ParetuneError('unsupported', `The provider ${provider} does not start here: ${reason}`, {
    hint: `${homes[provider].needs} \`--provider cpu\` always works.`.trim(),
    cause,
  });
}

/** What ONNX Runtime says after its own file names and signatures. */
function lastWords(error: unknown): string {
  return (error as Error).message
    .split(/was false\. /)
    .at(-1)!
    .trim();
}
