/**
 * What torch computes of a policy, for gpu-check.ts: the numbers of the numerics gate and the speeds of the same work, on the
 * best device that torch finds, in the Python that PARETUNE_PEERS names. It is not part of the product.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CONTINUED, familyOf, type Numbers, probesOf, RATE } from '../src-main/engine/run/numerics-gate.ts';
import type { Policy } from '../src-main/engine/runtime/policy.ts';

/** Tokens a second of the second time; the first update includes what is compiled. */
export type TorchSpeed = { trainTokens: number; decodeTokens: number; firstUpdateSeconds: number };
export type TorchResult = { version: string; device: string; numbers: Numbers; speed: TorchSpeed };

/**
 * `model`: a folder of Hugging Face files with the policy's weights, all of which are trained; `speedRows`: rows of equal
 * length. Throws with Python's last words where torch or transformers is missing.
 */
export function torchNumbers(
  python: string,
  model: string,
  policy: Policy,
  speedRows: readonly (readonly number[])[],
  threads: number,
): TorchResult {
  const folder = mkdtempSync(join(tmpdir(), 'paretune-torch-'));
  try {
    const out = join(folder, 'numbers.f32');
    const [rows, family] = [probesOf, familyOf].map((probes) =>
      probes(policy).map(({ tokens, trained }) => ({ tokens, trained })),
    );
    const names = policy.base.specs.map(({ name }) => name);
    const asked = { model, rows, family, speedRows, names, out, threads, learningRate: RATE, continued: CONTINUED };
    const { status, stdout, stderr, error } = spawnSync(python, [join(import.meta.dirname, 'gpu-check-torch.py')], {
      input: JSON.stringify(asked),
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    });
    if (status !== 0) throw new Error(`torch: ${error?.message ?? stderr.trim().split('\n').at(-1)}`);
    const { torch, device, speed, ...rest } = JSON.parse(stdout.trim().split('\n').at(-1)!);
    const flat = new Float32Array(new Uint8Array(readFileSync(out)).buffer);
    const { length } = policy.base.flat;
    const [gradient, change] = [flat.subarray(0, length), flat.subarray(length, 2 * length)];
    const numbers = { ...rest, gradient, change, logits: flat.subarray(2 * length) };
    return { version: torch, device, numbers, speed };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
