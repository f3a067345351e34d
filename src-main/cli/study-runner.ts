/**
 * Works through the runs of a study in one or more engine processes. Each result is written as a shard the moment it is
 * there: what is stopped, killed or copied to another machine goes on with the first run that has no shard.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Shard, StudyRun } from '../contract/study.ts';
import type { Json } from '../contract/records.ts';
import type { ResultOf } from '../engine-process/commands.ts';
import { writeShard } from '../study/shards.ts';
import type { Session } from './session.ts';
import { duration } from './table.ts';

type Options = { jobs: number; log: boolean; shardFolder: string; labelOf: (run: StudyRun) => string };

/** Runs them in order, `jobs` at a time. The first error ends all; shards that were written stay. */
export async function runStudy(
  session: Session,
  study: string,
  runs: readonly StudyRun[],
  { jobs, log, shardFolder, labelOf }: Options,
): Promise<void> {
  const origin = {
    commit: sourceCommit(),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
  };
  const began = performance.now();
  const steps = new Map<StudyRun, number>();
  let next = 0;
  let done = 0;

  const show = (label: string) => {
    const total = runs.reduce((sum, { config }) => sum + config.steps, 0);
    const made = [...steps.values()].reduce((sum, value) => sum + value, 0);
    const left = made > 0 ? `  ${duration(((performance.now() - began) / made) * (total - made))} left` : '';
    session.line(`run ${done + 1}/${runs.length}  ${label}${left}`);
  };

  const worker = async () => {
    const engine = session.worker();
    while (next < runs.length) {
      const run = runs[next++];
      const label = labelOf(run);
      const payload = { config: run.config, label, log } as unknown as Json;
      const result = (await engine.request('study-run', payload, {
        onProgress(progress) {
          steps.set(run, progress.done);
          show(`${label}  step ${progress.done}/${progress.total}`);
        },
      })) as unknown as ResultOf<'study-run'>;
      steps.set(run, run.config.steps);
      done++;
      writeShard(shardFolder, shardOf(study, run, result, origin));
      session.note(`${done}/${runs.length}  ${label}  ${duration(1000 * result.seconds)}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(jobs, runs.length) }, worker));
  } finally {
    session.endLine();
  }
}

function shardOf(
  study: string,
  { cell, method, variant, seed, config, configHash }: StudyRun,
  { facts, ...measured }: ResultOf<'study-run'>,
  origin: { commit: string; node: string; platform: string },
): Shard {
  return {
    format: 1,
    study,
    cell,
    method,
    variant,
    seed,
    configHash,
    config,
    commit: origin.commit,
    versions: { paretune: facts.engineVersion, runtime: facts.runtimeVersion, node: origin.node },
    machine: { cpu: facts.cpu, threads: facts.threads, platform: origin.platform },
    modelHash: facts.modelHash,
    referencePrice: facts.referencePrice,
    costLimit: facts.costLimit,
    ...measured,
  };
}

/** The commit of the checkout that this file is in, `+` where sources or agents differ from it; `unknown` elsewhere. */
function sourceCommit(): string {
  const root = dirname(createRequire(import.meta.url).resolve('../../package.json'));
  if (!existsSync(join(root, '.git')) || !fileURLToPath(import.meta.url).startsWith(join(root, 'src-main')))
    return 'unknown';
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', root, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const changed = git('status', '--porcelain', '--', 'src-main', 'resources') !== '';
    return `${git('rev-parse', '--short=12', 'HEAD')}${changed ? '+' : ''}`;
  } catch {
    return 'unknown'; // no git on this machine
  }
}
