/** `paretune doctor`: can this machine do it? */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { act, examples } from '../command-line.ts';
import { table } from '../table.ts';

export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('checks this machine and this installation')
    .option(
      '--install-cuda [folder]',
      'first puts the libraries for CUDA (Linux x64) into this installation: fetched from NuGet by the installer of onnxruntime-node, or taken from a folder that has them and their SHA256SUMS',
    )
    .addHelpText(
      'after',
      `${examples('doctor', 'doctor --json', 'doctor --install-cuda', 'doctor --install-cuda ./cuda-1.30.0')}

Each GPU provider that this system has is tried on a starter agent: it must give the CPU's log-probabilities, gradients,
optimizer step and greedy tokens. Graphics drivers, CUDA 12 and cuDNN 9 are not installed by Paretune; what is missing is named.`,
    )
    .action(
      act<{ installCuda?: string | true }>(async (session, { installCuda }) => {
        const installed =
          installCuda === undefined
            ? null
            : await session.engine('install-cuda', { folder: installCuda === true ? null : resolve(installCuda) });
        for (const { name, bytes, sha256 } of installed?.files ?? [])
          session.print(`installed ${name}, ${(bytes / 1e6).toFixed(1)} MB, SHA-256 ${sha256}`);
        if (installed) session.print(`for ONNX Runtime ${installed.version}, in ${installed.folder}\n`);
        const result = await session.engine('doctor', {});
        const words = { ok: 'ok', warning: 'WARNING', failed: 'FAILED' };
        session.print(
          table(
            [{ title: 'check' }, { title: '' }, { title: '' }],
            result.checks.map(({ name, state, message }) => [name, words[state], message]),
          ),
        );
        for (const { name, hint } of result.checks) if (hint !== '') session.print(`${name}: ${hint}`);
        session.failed = !result.ok;
        return installed === null ? result : { ...result, installed };
      }),
    );
}
