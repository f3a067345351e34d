/**
 * A study: which methods are compared, where, on which seeds, and what is asked of the results, all fixed before the first
 * run; and a shard, what is kept of one of its runs. Both come from files and are checked here. How they are used is in
 * src-main/study.
 */
import { z } from 'zod';
import type { StepMetrics } from './records.ts';
import { type RunConfig, runConfigSchema } from './run-config.ts';
import type { RunFacts } from './run-events.ts';

const name = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,39}$/, 'small letters, digits, dots and dashes, at most 40');

/** Settings of a run as a table, not yet filled in: what they become together is checked as a whole. */
const settings = z.record(z.string(), z.json());

/** What is measured of a run's last policy on the report split, and of all its evaluated policies. */
export const studyMetrics = [
  'success',
  'cost',
  'calls',
  'successesPerCall',
  'responseLength',
  'hypervolume',
  'hypervolumeSteep',
  'hypervolumeThree',
  'frontierHypervolume',
  'frontierArea',
  'greedySuccess',
  'greedyCalls',
] as const;

export type StudyMetric = (typeof studyMetrics)[number];

/** The row of the start policy in every table: the supervised agent before any reinforcement (TIR), a method of no steps. */
export const startMethod = 'start';

const testSchema = z.strictObject({
  /** key of the question that it answers */
  question: z.string(),
  claim: z.string().min(1).max(300),
  metric: z.enum(studyMetrics),
  /** tests the mean over seeds of a - factor b - margin against 0 */
  a: name,
  b: name,
  factor: z.number().default(1),
  margin: z.number().default(0),
  /** what the claim says of it */
  alternative: z.enum(['two-sided', 'greater', 'less']),
  /** one test in each of these cells */
  cells: z.array(name).min(1),
  variant: name.default('default'),
});

export const studySchema = z.strictObject({
  name,
  title: z.string().min(1).max(200),
  questions: z.record(z.string(), z.string()),
  /** Markdown paragraphs of the report: what its numbers say in words, and what was measured beside the study */
  notes: z.array(z.string().max(4000)).default([]),
  /** settings of every run; a cell's, a variant's and a method's go on top, in this order */
  base: settings,
  /** a start agent on tasks */
  cells: z.record(name, settings),
  methods: z.record(name, settings),
  /** prices, weights, objectives; weights are left out for a method that reads none. `default` is there always */
  variants: z.record(name, settings).default({}),
  /** worked through in this order; within a block seeds are the outer loop, so that what is there is always paired */
  blocks: z
    .array(
      z.strictObject({
        name,
        cells: z.array(name).min(1),
        methods: z.array(name).min(1),
        variants: z.array(name).min(1).default(['default']),
        seeds: z.array(z.int().min(0).max(1_000_000)).min(1),
      }),
    )
    .min(1),
  /** two runs whose hypervolumes differ by no more are a tie */
  tie: z.number().min(0).max(1).default(0.01),
  /** a run has collapsed when its final success is below `below` times that of this method on the same seed */
  collapse: z.strictObject({ below: z.number().min(0).max(1), of: name }),
  /** the one family: Holm's correction goes over all of them, those that were not run yet included */
  tests: z.array(testSchema).default([]),
});

export type Study = z.output<typeof studySchema>;
export type StudyTest = z.output<typeof testSchema>;

const share = z.number();
const point = z.strictObject({
  step: z.int().min(0),
  split: z.enum(['selection', 'report']),
  sampling: z.enum(['sampled', 'greedy']),
  n: z.int().min(0),
  success: share,
  cost: z.number(),
  calls: z.number(),
  responseLength: z.number(),
  klToStart: z.number().nullable(),
});

/** Those numbers of a step that are its metrics as the log has them. */
export const stepMetricNumbers = [
  'success',
  'cost',
  'calls',
  'responseLength',
  'entropy',
  'gradNorm',
  'groupsMixed',
  'groupsAllRight',
  'groupsAllWrong',
  'groupsWithoutSpread',
] as const satisfies (keyof StepMetrics)[];

/** Numbers a step, each list as long as the run had steps. */
const stepNumbers = [
  ...stepMetricNumbers,
  'spreadSuccess',
  'spreadTool',
  'spreadLength',
  'callsUnsolved',
  'failureShare',
  'failuresRewarded',
] as const;

export type StepNumber = (typeof stepNumbers)[number];

export const shardSchema = z.strictObject({
  format: z.literal(1),
  study: name,
  cell: name,
  method: name,
  variant: name,
  seed: z.int().min(0),
  /** sha256 of the run's settings that are not at their default: the run that a study wants is found by it */
  configHash: z.string().regex(/^[0-9a-f]{64}$/),
  config: runConfigSchema,
  /** of the sources that ran it, with `+` where they had changes; `unknown` outside of a checkout */
  commit: z.string().max(80),
  versions: z.strictObject({ paretune: z.string(), runtime: z.string(), node: z.string() }),
  machine: z.strictObject({ cpu: z.string(), threads: z.int(), platform: z.string() }),
  modelHash: z.string(),
  referencePrice: z.number(),
  costLimit: z.number(),
  status: z.enum(['finished', 'failed']),
  reason: z.string(),
  seconds: z.number(),
  cpuSeconds: z.number(),
  points: z.array(point).min(1).max(100_000),
  steps: z.partialRecord(z.enum(stepNumbers), z.array(z.number().nullable()).max(1_000_000)),
});

export type Shard = z.output<typeof shardSchema>;
export type ShardPoint = z.output<typeof point>;

/** What a run of a study tells of itself; the rest of a shard is known before. */
export type StudyRunResult = Pick<Shard, 'status' | 'reason' | 'seconds' | 'cpuSeconds' | 'points' | 'steps'> & {
  facts: RunFacts;
};

/** One run that a study wants. */
export type StudyRun = {
  block: string;
  cell: string;
  method: string;
  variant: string;
  seed: number;
  config: RunConfig;
  configHash: string;
};
