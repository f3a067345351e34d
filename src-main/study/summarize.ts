/**
 * Every figure of a study's report, from its plan and whatever shards are there: means with 95 % intervals over seeds,
 * paired differences, the family of tests under Holm's correction, wins and ties, training dynamics. Says how many runs
 * each number rests on and what was not run. Plain data: report.ts writes it down, --json prints it.
 */
import {
  type Shard,
  startMethod,
  type StepNumber,
  type Study,
  type StudyMetric,
  studyMetrics,
} from '../contract/study.ts';
import { mean, meanInterval } from '../engine/base/statistics.ts';
import { lowerIsBetter, type Measures, measuresOf, pointsOf } from './measures.ts';
import { matchShards } from './shards.ts';
import { type PlannedTest, testFamily } from './test-family.ts';
import { studyRuns } from './study-runs.ts';

/** A mean over seeds with its 95 % Student interval; `low` and `high` are null for fewer than two. */
export type Estimate = { n: number; mean: number; low: number | null; high: number | null };

export type MethodRow = {
  method: string;
  seeds: number[];
  planned: number;
  collapsed: number;
  failed: number;
  metrics: Record<StudyMetric, Estimate | null>;
  /** hypervolume minus that of the collapse reference on the same seeds */
  gain: Estimate | null;
  series: { selection: Series; steps: Partial<Record<StepNumber, number[]>> };
  /** means over all steps */
  groups: Partial<Record<StepNumber, number | null>>;
};

/** Selection points, mean over seeds, one entry an evaluation. */
export type Series = { step: number[]; success: number[]; cost: number[]; calls: number[]; responseLength: number[] };

export type Table = {
  cell: string;
  variant: string;
  costLimit: number;
  rows: MethodRow[];
  orders: Record<string, string[]>;
};

export type Duel = { cell: string; variant: string; a: string; b: string; wins: number; ties: number; losses: number };

export type StudySummary = {
  name: string;
  title: string;
  questions: Record<string, string>;
  notes: readonly string[];
  runs: { planned: number; done: number; otherSettings: number };
  notRun: { block: string; planned: number; done: number }[];
  /** every run that is missing, seeds together */
  missing: { cell: string; variant: string; method: string; seeds: number[] }[];
  cpuHours: number;
  /** of the single runs, one after the other */
  hours: number;
  commits: string[];
  machines: string[];
  versions: string[];
  /** same start agent everywhere it should be; a sentence for each cell where it is not */
  warnings: string[];
  tie: number;
  tables: Table[];
  duels: Duel[];
  tests: PlannedTest[];
};

export type SeedRun = { seed: number; shard: Shard; last: Measures; start: Measures };

/** The summary of what is there. */
export function summarize(study: Study, shards: ReadonlyMap<string, Shard>): StudySummary {
  const runs = studyRuns(study);
  const { done, missing, others } = matchShards(runs, shards);
  const keyOf = (run: { cell: string; variant: string }) => `${run.cell}\n${run.variant}`;
  const groups = [...Map.groupBy(runs, keyOf).values()].map(([{ cell, variant }]) => ({ cell, variant }));
  const find = (cell: string, variant: string, method: string): SeedRun[] =>
    done
      .filter((shard) => shard.cell === cell && shard.variant === variant && shard.method === method)
      .sort((a, b) => a.seed - b.seed)
      .map((shard) => ({ seed: shard.seed, shard, last: measuresOf(shard), start: measuresOf(shard, startMethod) }));

  const tables = groups.flatMap(({ cell, variant }) => {
    const planned = runs.filter((run) => run.cell === cell && run.variant === variant);
    const methods = [...new Set(planned.map(({ method }) => method))];
    const reference = find(cell, variant, study.collapse.of);
    const rows = methods.flatMap((method) => {
      const seeds = find(cell, variant, method);
      const count = planned.filter((run) => run.method === method).length;
      return seeds.length === 0 ? [] : [methodRow(method, seeds, count, reference, study.collapse.below)];
    });
    if (rows.length === 0) return [];
    const all = methods.flatMap((method) => find(cell, variant, method));
    // every run measures its start on its own draws: one a seed is enough
    const starts = [...new Map(all.map((run) => [run.seed, run])).values()].map((run) => ({ ...run, last: run.start }));
    const start = { ...methodRow(startMethod, starts, starts.length, [], 0), series: emptySeries(), groups: {} };
    const orders = Object.fromEntries(
      (['hypervolume', 'hypervolumeSteep'] as const).map((metric) => [metric, orderBy(rows, metric)]),
    );
    return [{ cell, variant, costLimit: all[0].shard.costLimit, rows: [start, ...rows], orders }];
  });

  return {
    name: study.name,
    title: study.title,
    questions: study.questions,
    notes: study.notes,
    runs: { planned: runs.length, done: done.length, otherSettings: others },
    notRun: [...Map.groupBy(runs, ({ block }) => block)].map(([block, members]) => ({
      block,
      planned: members.length,
      done: members.filter(({ configHash }) => shards.has(configHash)).length,
    })),
    missing: [...Map.groupBy(missing, (run) => `${keyOf(run)}\n${run.method}`).values()].map((members) => {
      const [{ cell, variant, method }] = members;
      return { cell, variant, method, seeds: members.map(({ seed }) => seed).sort((a, b) => a - b) };
    }),
    cpuHours: done.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / 3600,
    hours: done.reduce((sum, { seconds }) => sum + seconds, 0) / 3600,
    commits: unique(done.map(({ commit }) => commit)),
    machines: unique(
      done.map(({ machine: m }) => `${m.cpu}, ${m.platform}, ${m.threads} thread${m.threads > 1 ? 's' : ''}`),
    ),
    versions: unique(
      done.map(({ versions: v }) => `paretune ${v.paretune}, ONNX Runtime ${v.runtime}, Node ${v.node}`),
    ),
    warnings: [...Map.groupBy(done, ({ cell }) => cell)]
      .filter(([, members]) => unique(members.map(({ modelHash }) => modelHash)).length > 1)
      .map(([cell]) => `The runs of ${cell} began from different weights: they are not one experiment.`),
    tie: study.tie,
    tables,
    duels: tables.flatMap(({ cell, variant, rows }) => duelsOf(cell, variant, rows.slice(1), find, study.tie)),
    tests: testFamily(study, runs, find),
  };
}

function methodRow(method: string, seeds: SeedRun[], planned: number, reference: SeedRun[], below: number): MethodRow {
  const success = (run: SeedRun | undefined) => run?.last.success ?? null;
  const referenceOf = (seed: number) => reference.find((run) => run.seed === seed);
  const collapsed = seeds.filter((run) => {
    const [own, other] = [success(run), success(referenceOf(run.seed))];
    return own !== null && other !== null && own < below * other;
  });
  const gains = seeds.flatMap((run) => {
    const other = referenceOf(run.seed)?.last.hypervolume ?? null;
    return other === null || run.last.hypervolume === null ? [] : [run.last.hypervolume - other];
  });
  const metrics = studyMetrics.map((metric) => {
    const values = seeds.flatMap(({ last }) => (last[metric] === null ? [] : [last[metric]]));
    return [metric, estimate(values)] as const;
  });
  const steps = stepSeries(seeds.map(({ shard }) => shard));
  return {
    method,
    seeds: seeds.map(({ seed }) => seed),
    planned,
    collapsed: collapsed.length,
    failed: seeds.filter(({ shard }) => shard.status === 'failed').length,
    metrics: Object.fromEntries(metrics) as MethodRow['metrics'],
    gain: estimate(gains),
    series: { selection: selectionSeries(seeds.map(({ shard }) => shard)), steps },
    groups: Object.fromEntries(
      Object.entries(steps).map(([key, values]) => {
        const known = values.filter(Number.isFinite);
        return [key, known.length === 0 ? null : mean(known)];
      }),
    ),
  };
}

export function estimate(values: readonly number[]): Estimate | null {
  if (values.length === 0) return null;
  const { low, high } = meanInterval(values);
  return {
    n: values.length,
    mean: mean(values),
    low: values.length < 2 ? null : low,
    high: values.length < 2 ? null : high,
  };
}

function selectionSeries(shards: Shard[]): Series {
  const lists = shards.map((shard) => pointsOf(shard, 'selection', 'sampled'));
  const steps = unique(lists.flat().map(({ step }) => step)).sort((a, b) => a - b);
  const column = (key: 'success' | 'cost' | 'calls' | 'responseLength') =>
    steps.map((step) => mean(lists.flat().flatMap((point) => (point.step === step ? [point[key]] : []))));
  return {
    step: steps,
    success: column('success'),
    cost: column('cost'),
    calls: column('calls'),
    responseLength: column('responseLength'),
  };
}

function emptySeries(): MethodRow['series'] {
  return { selection: { step: [], success: [], cost: [], calls: [], responseLength: [] }, steps: {} };
}

/** Mean over seeds of each number, step by step; NaN where no seed has it. */
function stepSeries(shards: Shard[]): MethodRow['series']['steps'] {
  const keys = unique(shards.flatMap(({ steps }) => Object.keys(steps) as StepNumber[]));
  return Object.fromEntries(
    keys.map((key) => {
      const lists = shards.map(({ steps }) => steps[key] ?? []);
      const length = Math.max(...lists.map((list) => list.length));
      const at = (i: number) => mean(lists.flatMap((list) => (typeof list[i] === 'number' ? [list[i]] : [])));
      return [key, Array.from({ length }, (_, i) => at(i))];
    }),
  );
}

function orderBy(rows: MethodRow[], metric: StudyMetric): string[] {
  const sign = lowerIsBetter.has(metric) ? 1 : -1;
  const value = (row: MethodRow) => sign * (row.metrics[metric]?.mean ?? sign * Number.POSITIVE_INFINITY);
  return [...rows].sort((a, b) => value(a) - value(b)).map(({ method }) => method);
}

/** Wins, ties and losses of final hypervolume over shared seeds, each pair of methods once. */
function duelsOf(
  cell: string,
  variant: string,
  rows: MethodRow[],
  find: (cell: string, variant: string, method: string) => SeedRun[],
  tie: number,
): Duel[] {
  return rows.flatMap((a, i) =>
    rows.slice(i + 1).map((b) => {
      const others = find(cell, variant, b.method);
      const differences = find(cell, variant, a.method).flatMap(({ seed, last }) => {
        const other = others.find((run) => run.seed === seed)?.last.hypervolume ?? null;
        return other === null || last.hypervolume === null ? [] : [last.hypervolume - other];
      });
      return {
        cell,
        variant,
        a: a.method,
        b: b.method,
        wins: differences.filter((difference) => difference > tie).length,
        ties: differences.filter((difference) => Math.abs(difference) <= tie).length,
        losses: differences.filter((difference) => difference < -tie).length,
      };
    }),
  );
}

function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
