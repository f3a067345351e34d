/**
 * An exported folder opened again by path, as a stranger would. Each file must compute what the engine computes on the
 * weights as that variant stores them; how far a variant is from the policy itself is reported.
 */
import { join } from 'node:path';
import { ParetuneError } from '../../contract/errors.ts';
import { randomStream } from '../base/random.ts';
import { DecodeEngine } from '../rollout/decode-engine.ts';
import type { Policy } from '../runtime/policy.ts';
import { openSession, type Session, type Tensor } from '../runtime/session.ts';
import { sequenceLogits } from './sequence-logits.ts';
import { asStored, type ExportVariant, variantFile } from './export-variants.ts';

export type VariantCheck = {
  variant: ExportVariant;
  /** largest |logit - policy's logit| over the probes */
  logitDifference: number;
  /** largest |logit - logit of the engine on the stored weights|: rounding only */
  storedDifference: number;
  /** share of greedy tokens equal to the policy's, up to the first that differs */
  greedyAgreement: number;
};

const PROBES = 4;
const PROBE_TOKENS = 16;
const NEW_TOKENS = 24;
/** More than rounding: the file is wrong. Relative to the largest logit. */
const WRONG = 1e-3;

/** Checks every variant. Throws `engine` where a file does not compute what it should. */
export async function verifyExport(
  folder: string,
  policy: Policy,
  variants: readonly ExportVariant[],
  threads: number,
): Promise<VariantCheck[]> {
  const random = randomStream(0, 'export probes');
  const probes = Array.from({ length: PROBES }, () =>
    Array.from({ length: PROBE_TOKENS }, () => random.int(0, policy.config.vocabSize - 1)),
  );
  const logits = await sequenceLogits(policy, probes, { threads });
  const greedy = await engineGreedy(policy, probes, threads);
  const checks: VariantCheck[] = [];
  for (const variant of variants) {
    const session = await openSession(join(folder, 'onnx', variantFile[variant]), { threads }, `export ${variant}`);
    try {
      const stored = await sequenceLogits(asStored(policy, variant), probes, { threads });
      let logitDifference = 0;
      let storedDifference = 0;
      let largest = 0;
      let equal = 0;
      for (const [i, probe] of probes.entries()) {
        const run = await exportedGreedy(session, policy, probe);
        for (const [k, value] of run.logits.entries()) {
          logitDifference = Math.max(logitDifference, Math.abs(value - logits[i][k]));
          storedDifference = Math.max(storedDifference, Math.abs(value - stored[i][k]));
          largest = Math.max(largest, Math.abs(value));
        }
        for (const [k, token] of run.tokens.entries()) {
          if (token !== greedy[i][k]) break;
          equal++;
        }
      }
      if (!(storedDifference <= WRONG * Math.max(1, largest))) {
        throw new ParetuneError(
          'engine',
          `The ${variant} file differs from the engine by ${storedDifference} in its logits.`,
          {
            hint: 'This is a fault of Paretune: the folder was not kept. Please report it with the model you exported.',
          },
        );
      }
      checks.push({ variant, logitDifference, storedDifference, greedyAgreement: equal / (PROBES * NEW_TOKENS) });
    } finally {
      await session.dispose();
    }
  }
  return checks;
}

async function engineGreedy(policy: Policy, probes: number[][], threads: number): Promise<number[][]> {
  const engine = new DecodeEngine(policy, { threads, maxTokens: PROBE_TOKENS + NEW_TOKENS });
  const results: number[][] = [];
  for (const probe of probes) {
    const cache = engine.newCache(1);
    const made: number[] = [];
    let next = probe;
    while (made.length < NEW_TOKENS) {
      const result = await engine.run({ tokens: [next], uniforms: [[0.5]], sampling: 'greedy', temperature: 1 }, cache);
      made.push(result.tokens[0][0]);
      next = [result.tokens[0][0]];
    }
    results.push(made);
  }
  await engine.dispose();
  return results;
}

/** The export's own greedy continuation, and its logits [T - 1, V] on the probe. */
async function exportedGreedy(
  session: Session,
  { config }: Policy,
  probe: number[],
): Promise<{ logits: Float32Array; tokens: number[] }> {
  const int = (values: number[]): Tensor => ({
    dtype: 'int64',
    shape: [1, values.length],
    data: BigInt64Array.from(values, BigInt),
  });
  let past: Record<string, Tensor> = {};
  for (let layer = 0; layer < config.layers; layer++) {
    const empty: Tensor = {
      dtype: 'float32',
      shape: [1, config.kvHeads, 0, config.headDim],
      data: new Float32Array(0),
    };
    past[`past_key_values.${layer}.key`] = empty;
    past[`past_key_values.${layer}.value`] = empty;
  }
  const tokens: number[] = [];
  let fed = probe;
  let length = 0;
  let first = new Float32Array(0);
  while (tokens.length < NEW_TOKENS) {
    length += fed.length;
    const outputs = await session.run({
      ...past,
      input_ids: int(fed),
      attention_mask: int(new Array<number>(length).fill(1)),
    });
    const logits = outputs.logits.data as Float32Array;
    if (tokens.length === 0) first = logits.slice(0, (probe.length - 1) * config.vocabSize);
    const last = logits.subarray(logits.length - config.vocabSize);
    const token = last.indexOf(last.reduce((a, b) => Math.max(a, b)));
    tokens.push(token);
    fed = [token];
    past = Object.fromEntries(
      Object.entries(outputs)
        .filter(([name]) => name.startsWith('present.'))
        .map(([name, tensor]) => [name.replace('present.', 'past_key_values.'), tensor]),
    );
  }
  return { logits: first, tokens };
}
