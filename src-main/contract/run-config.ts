/**
 * Everything that decides a run, checked at the border. The stored form of a run is this record with all defaults filled
 * in: two runs with equal configurations, seeds and machine give equal weights.
 */
import { z } from 'zod';
import { providerSettings } from './providers.ts';
import { mcpToolName, sha256 } from './mcp.ts';

const price = z.number().min(0).max(1e12);
const fraction = z.number().min(0).max(1);

/**
 * The algorithms on offer. `paretopo-printed` is the paper's text taken literally, `paretopo` our group-centred reading, `hvg`
 * and `ffp` repairs of ours; the others are what it is compared with. Each is one file in engine/advantage.
 */
export const methodNames = [
  'paretopo',
  'paretopo-printed',
  'hvg',
  'ffp',
  'grpo',
  'static',
  'otc',
  'mo-grpo',
  'gdpo',
  'gdpo-tokens',
  'dynamic-weights',
] as const;

/** The one that the study shows to be safe from every start (docs/results.md). */
export const defaultMethod: MethodName = 'hvg';

/** Options of ParetoPO that the paper leaves open (paper.md; design section 5). Other methods ignore none of them: they refuse them. */
export const paretopoOptions = z.strictObject({
  /** share of the steps that stage 1 gets; 0 skips stage 1, 1 skips stage 2 */
  stage1Fraction: fraction.default(1 / 3),
  /** gamma of the hypervolume gain's moving average */
  gamma: fraction.default(0.9),
  /** beta of the spread within a front, at most 1 */
  beta: fraction.default(1),
  /** where r_pareto multiplies: on the reward before the group normalization (as printed) or on the advantage after it */
  factor: z.enum(['before-normalization', 'after-normalization']).default('after-normalization'),
  /** what the hypervolume gain is measured on: one archive for all problems, one a problem, or the step's mean vector */
  archive: z.enum(['global', 'per-problem', 'mean-vector']).default('per-problem'),
  /** what the average's t counts: each rollout against the last step's average, the step's mean gain, or one rollout after the other */
  average: z.enum(['per-rollout', 'round-mean', 'sequential']).default('per-rollout'),
  /** raw advantages of stage 2 (as printed), minus the group mean, or also divided by the group's deviation */
  stage2: z.enum(['raw', 'centred', 'scaled']).default('centred'),
});

export const runConfigSchema = z.strictObject({
  /** folder of the model (Hugging Face layout), or `starter:over-user` / `starter:under-user` for the bundled agents */
  model: z.string().min(1),
  /** built-in task names, or paths of JSONL / GSM8K / SVAMP / HotpotQA files; several are mixed in equal parts */
  tasks: z.array(z.string().min(1)).min(1).max(16),
  /** for tasks from files: the corpus that `search` looks through, and a file of its own for the report split; empty for none */
  taskOptions: z.strictObject({ corpus: z.string().default(''), report: z.string().default('') }).prefault({}),
  /** tools by name; empty means those that the task brings */
  tools: z.array(z.string()).default([]),
  /** sha256 of the approved definition of each tool of an MCP server; filled in when the run is made, the same when it goes on */
  toolDefinitions: z.record(mcpToolName, sha256).default({}),
  /** price of one call of each tool, the user's own unit; a tool that is not named costs 1 (of an MCP server: its approved price) */
  prices: z.record(z.string(), price).default({}),
  /** objective order of every reward vector; 0 is success */
  objectives: z
    .array(z.enum(['success', 'tool', 'length']))
    .min(1)
    .max(3)
    .refine((names) => names[0] === 'success' && new Set(names).size === names.length, {
      message: 'the first objective must be success, and no objective may be named twice',
    })
    .default(['success', 'tool']),
  /** [M] objective weights, normalized to sum 1 */
  weights: z.array(z.number().min(0)).default([0.6, 0.4]),
  method: z.enum(methodNames).default(defaultMethod),
  paretopo: paretopoOptions.prefault({}),
  /** steepness of the tool reward exp(-alpha |cost - fewest|) */
  alpha: z.number().min(0).max(100).default(0.5),
  /** tool reward before a problem was ever solved (facts: `zero` is safe, the printed text leaves it open) */
  unsolved: z.enum(['zero', 'one', 'optimal-is-zero', 'group-minimum']).default('zero'),
  steps: z.int().min(1).max(1_000_000).default(60),
  problemsPerStep: z.int().min(1).max(4096).default(32),
  groupSize: z.int().min(1).max(256).default(8),
  /** distinct training problems of each task, visited in shuffled passes */
  trainProblems: z.int().min(1).max(1_000_000).default(512),
  selectionProblems: z.int().min(1).max(100_000).default(256),
  reportProblems: z.int().min(1).max(100_000).default(512),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(0),
  limits: z
    .strictObject({
      calls: z.int().min(0).max(1000).default(4),
      /** tokens of a whole trajectory, prompt included */
      tokens: z.int().min(8).max(131_072).default(160),
      turns: z.int().min(1).max(1000).default(6),
      seconds: z.number().min(0.1).max(86_400).default(120),
      /** tokens of one tool result */
      resultTokens: z.int().min(1).max(65_536).default(48),
    })
    .prefault({}),
  train: z
    .strictObject({
      parameters: z.enum(['full', 'lora']).default('full'),
      lora: z
        .strictObject({
          rank: z.int().min(1).max(1024).default(16),
          alpha: z.number().min(0.001).max(4096).default(32),
          targets: z
            .array(z.enum(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']))
            .min(1)
            .default(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']),
          /** how the weights under the adapter are kept: `float16` rounds them once and takes half of their memory; all is computed in float32 */
          base: z.enum(['float32', 'float16']).default('float32'),
        })
        .prefault({}),
      learningRate: z.number().min(0).max(1).default(2e-4),
      warmupSteps: z.int().min(0).default(5),
      schedule: z.enum(['constant', 'cosine']).default('constant'),
      beta1: fraction.default(0.9),
      beta2: fraction.default(0.95),
      epsilon: z.number().min(0).default(1e-8),
      weightDecay: z.number().min(0).default(0),
      maxGradNorm: z.number().min(0).default(1),
      updatesPerBatch: z.int().min(1).max(64).default(1),
      clipLow: z.number().min(0).default(0.2),
      clipHigh: z.number().min(0).default(0.2),
      /** two-sided clip: an upper bound on the ratio also where the advantage is negative */
      clipDelta: z.number().min(1).nullable().default(null),
      klCoefficient: z.number().min(0).default(0),
      /** `corrected` multiplies the KL estimate by the importance ratio */
      klForm: z.enum(['plain', 'corrected']).default('plain'),
      /** how token losses are added up: all sampled tokens of the batch alike, a mean a trajectory, or a constant */
      aggregation: z.enum(['batch-token', 'sequence-mean', 'constant']).default('batch-token'),
      importance: z.enum(['token', 'sequence']).default('token'),
      /** tokens (rows x padded length) of one micro-batch; 2,048 keeps activations in the cache: faster than one big batch, in half the memory */
      microBatchTokens: z.int().min(64).default(2048),
      /** keep only what each layer starts from and compute the rest again on the way back: a sixth of the memory of long sequences, more time, the same gradient */
      recompute: z.boolean().default(false),
    })
    .prefault({}),
  /** rows decoded at once */
  rolloutBatch: z.int().min(1).max(4096).default(256),
  /** most tokens a row decodes in one run of the graph, keys and values staying with the provider (CPU, CUDA): 0 is 16 on CUDA, 1 elsewhere */
  decodeChunk: z.int().min(0).max(1024).default(0),
  threads: z.int().min(0).max(1024).default(0),
  /** who computes: `auto` is the CPU; another is used only where its numbers agree with the CPU's on this model */
  provider: z.enum(providerSettings).default('auto'),
  /** where the GPU is lost, its driver fails or its memory is short: go on on the CPU, stop, or (memory only) halve the batches and go on */
  onProviderFailure: z.enum(['cpu', 'stop', 'smaller-batch']).default('cpu'),
  evaluation: z
    .strictObject({ everySteps: z.int().min(1).default(10), greedy: z.boolean().default(true) })
    .prefault({}),
  /** ends a run that diverges: limits on what is measured on selection problems */
  guard: z
    .strictObject({
      /** largest KL to the start policy, nats a token; null for no limit */
      kl: z.number().min(0).nullable().default(null),
      /** the share of the best success so far that must not surely be lost: the upper end of the interval is compared; 0 for no limit */
      success: fraction.default(0),
    })
    .prefault({}),
  checkpoint: z
    .strictObject({ everySteps: z.int().min(1).default(10), keepLast: z.int().min(1).default(2) })
    .prefault({}),
  /** the one definition of hypervolume of this run: axes success and 1 - cost / costLimit, reference (0, 0); 0 = calls limit x dearest tool */
  costLimit: z.number().min(0).default(0),
});

export type RunConfig = z.output<typeof runConfigSchema>;
export type RunConfigInput = z.input<typeof runConfigSchema>;
export type ParetopoOptions = z.output<typeof paretopoOptions>;
export type MethodName = (typeof methodNames)[number];

/** Methods that read no objective weights. */
const weightless: ReadonlySet<string> = new Set<MethodName>(['grpo', 'hvg', 'otc', 'mo-grpo']);

/** Whether a method reads the objective weights under these settings. */
export function readsWeights({ method, paretopo }: Pick<RunConfig, 'method' | 'paretopo'>): boolean {
  const ranksOnly = paretopo.stage1Fraction === 0 && paretopo.beta === 0 && method.startsWith('paretopo');
  return !ranksOnly && !weightless.has(method);
}
