/** Exports a checkpoint of a stored run: measures it on report problems, writes the folder with its card, verifies it. */
import type { Policy } from '../engine/runtime/policy.ts';
import type { PolicyPoint } from '../contract/records.ts';
import type { RunConfig } from '../contract/run-config.ts';
import { exportModel, type ExportTarget } from '../engine/run/export-model.ts';
import { asStored, type ExportVariant } from '../engine/run/export-variants.ts';
import type { VariantCheck } from '../engine/run/verify-export.ts';
import type { Store } from '../store/open-store.ts';
import { openRunPolicy } from './agents.ts';
import type { CommandContext } from './command.ts';
import { openRunEnvironment } from './run-environment.ts';
import { threadsOf } from './threads.ts';
import { exportCard } from './export-card.ts';
import { measure } from './measure.ts';

export type ExportRequest = {
  run: string;
  checkpoint: string;
  to: string;
  target: ExportTarget;
  variants: ExportVariant[];
  /** report problems of each task that the card speaks of */
  problems: number;
  /** the policy's point if it was measured already */
  point?: PolicyPoint;
};

export type ExportedVariant = VariantCheck & {
  /** success and cost of the policy with the weights as this variant stores them, on the card's problems */
  success: number;
  cost: number;
};

export type ExportResult = {
  folder: string;
  bytes: number;
  run: string;
  step: number;
  point: PolicyPoint;
  variants: ExportedVariant[];
};

export async function exportRun(store: Store, request: ExportRequest, context: CommandContext): Promise<ExportResult> {
  const { run: name, checkpoint, to, target, variants, problems } = request;
  const { config, runId } = store.getRun(name);
  const { agent, policy, step } = openRunPolicy(store, runId, checkpoint);
  const points = new Map<ExportVariant, PolicyPoint>();
  const environment = await openRunEnvironment(agent, config, context);
  const what = { split: 'report', problems, sampling: 'sampled' } as const;
  const measured = async (label: string, of: Policy) =>
    (await measure({ policy: of, step }, environment, config, what, label, context)).point;
  let point: PolicyPoint;
  try {
    point = request.point ?? (await measured('measuring the policy', policy));
    for (const variant of variants) {
      points.set(
        variant,
        variant === 'fp32' ? point : await measured(`measuring ${variant}`, asStored(policy, variant)),
      );
    }
  } finally {
    await environment.close();
  }
  context.progress({ label: 'writing and checking the folder', done: 0, total: 0 });
  const card = exportCard({ runId, step: step ?? 0, config, point, points, model: config.model });
  const threads = threadsOf(config.threads);
  const { folder, bytes, checks } = await exportModel(agent, policy, { to, target, variants, card, threads });
  const result = checks.map((check) => ({
    ...check,
    success: points.get(check.variant)!.success,
    cost: points.get(check.variant)!.cost,
  }));
  store.addArtifact(runId, {
    step: step ?? 0,
    kind: 'onnx',
    path: folder,
    bytes,
    details: { target, variants: result },
  });
  return { folder, bytes, run: runId, step: step ?? 0, point, variants: result };
}

export type CardFacts = {
  runId: string;
  step: number;
  config: RunConfig;
  model: string;
  point: PolicyPoint;
  points: ReadonlyMap<ExportVariant, PolicyPoint>;
};
