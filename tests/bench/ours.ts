/**
 * Our side of the benchmark, one process a measurement like the peers: the same work on the same random model, one JSON
 * line. `step` is a whole GRPO step (rollouts, one update), `train` the update alone, `generate` decoding alone, `prefill`
 * prompts of one sampled token each. With `--lora R` an adapter on every linear layer is trained instead of everything.
 *
 *   node tests/bench/ours.ts step --hidden 192 --layers 6 --heads 6 --kv 3 --ff 512 --vocab 512 \
 *        --prompts 8 --group 8 --prompt-len 32 --new-tokens 64 --steps 6 --threads 2
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { Problem } from '../../src-main/contract/records.ts';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { parseModelConfig } from '../../src-main/engine/model/model-config.ts';
import { collectTrajectories, type TurnFormat } from '../../src-main/engine/rollout/collect.ts';
import { DecodeEngine } from '../../src-main/engine/rollout/decode-engine.ts';
import { makePolicy, type Policy, randomPolicy } from '../../src-main/engine/runtime/policy.ts';
import { runtimeVersion } from '../../src-main/engine/runtime/session.ts';
import type { TrainRow } from '../../src-main/engine/train/pack-batch.ts';
import { Trainer } from '../../src-main/engine/train/trainer.ts';

type Weights = Map<string, { data: Float32Array }>;

const number = (fallback: number) => ({ type: 'string', default: String(fallback) }) as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    hidden: number(192),
    layers: number(6),
    heads: number(6),
    kv: number(3),
    ff: number(512),
    vocab: number(512),
    prompts: number(8),
    group: number(8),
    'prompt-len': number(32),
    'new-tokens': number(64),
    steps: number(6),
    /** tokens that all prompts begin with, as the description of tools is */
    shared: number(0),
    /** rank of the adapter, 0 for none */
    lora: number(0),
    /** 1 keeps the weights prepacked inside the decoding session, as a run with an adapter does */
    frozen: number(0),
    threads: number(availableParallelism()),
  },
});
const option = (name: keyof typeof values) => Number(values[name]);
const WARM_UP = 2;
const [what = 'step'] = positionals;
const promptLength = option('prompt-len');
const newTokens = what === 'prefill' ? 1 : option('new-tokens');
const length = promptLength + newTokens;
const random = randomStream(0, 'bench');

const config = parseModelConfig({
  model_type: 'llama',
  hidden_size: option('hidden'),
  num_hidden_layers: option('layers'),
  num_attention_heads: option('heads'),
  num_key_value_heads: option('kv'),
  intermediate_size: option('ff'),
  vocab_size: option('vocab'),
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: true,
  eos_token_id: 1,
  pad_token_id: 0,
});
const policy = option('lora') === 0 ? randomPolicy(config, random) : adapted(option('lora'));
const threads = option('threads');
const engine = new DecodeEngine(policy, { threads, maxTokens: length, frozen: option('frozen') === 1 });
const trainer = new Trainer(policy, {
  objective: {
    clipLow: 0.2,
    clipHigh: 0.2,
    delta: null,
    klCoefficient: 0,
    klForm: 'plain',
    importance: 'token',
    old: 'current',
  },
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradNorm: 1,
  aggregation: 'batch-token',
  maxTokens: length,
  microBatchTokens: 2048,
  threads,
});

/** No stop token and no tools: every trajectory has exactly the asked number of sampled tokens. */
const format: TurnFormat = {
  promptTokens: (messages) => messages[0].content.split(' ').map(Number),
  toolSuffix: () => [],
  parseTurn: () => ({ calls: [], text: '', malformed: null }),
  stopTokens: [],
  cutText: (text) => text,
};

async function rollouts(step: number): Promise<TrainRow[]> {
  const requests = Array.from({ length: option('prompts') }, (_, p) => ({
    problem: problem(`${step}-${p}`),
    samples: option('group'),
  }));
  const { groups } = await collectTrajectories(
    requests,
    engine,
    () => format,
    async () => ({ status: 'ok', output: '', milliseconds: 0 }),
    {
      limits: { calls: 0, tokens: length, turns: 1, seconds: 3600, resultTokens: 1 },
      batch: option('prompts') * option('group'),
      seed: 0,
      step,
      sampling: 'sampled',
      temperature: 1,
      prices: {},
      weightsVersion: step,
      clock: () => performance.now(),
    },
  );
  const trained = Array.from({ length: newTokens }, (_, i) => promptLength + i);
  return groups.flat().map(({ tokens }) => ({ tokens, trained, advantage: random.normal() }));
}

function problem(id: string): Problem {
  const beginning = Array.from({ length: option('shared') }, (_, i) => 2 + (i % (config.vocabSize - 2)));
  const own = Array.from({ length: promptLength - beginning.length }, () => random.int(2, config.vocabSize - 1));
  const content = [...beginning, ...own].join(' ');
  return {
    id,
    task: 'bench',
    split: 'train',
    messages: [{ role: 'user', content }],
    tools: [],
    answers: [],
    grader: { kind: 'exact' },
    tags: [],
    unseen: true,
  };
}

function adapted(rank: number): Policy {
  const targets = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
  const { tensors } = randomPolicy(config, random).base;
  return makePolicy(config, new Map(Object.entries(tensors)) as Weights, { rank, alpha: 2 * rank, targets });
}

const work: Record<string, (step: number, rows: TrainRow[]) => Promise<unknown>> = {
  step: async (step) => trainer.update(await rollouts(step), 1e-4),
  train: (_, rows) => trainer.update(rows, 1e-4),
  generate: (step) => rollouts(step),
  prefill: (step) => rollouts(step),
};
const fixed = await rollouts(-1);
const times: number[] = [];
const cpuTimes: number[] = [];
for (let step = 0; step < WARM_UP + option('steps'); step++) {
  const from = performance.now();
  const cpu = process.cpuUsage();
  await work[what](step, fixed);
  if (step < WARM_UP) continue;
  times.push((performance.now() - from) / 1000);
  const { user, system } = process.cpuUsage(cpu);
  cpuTimes.push((user + system) / 1e6);
}
for (const all of [times, cpuTimes]) all.sort((a, b) => a - b);
const median = times[times.length >> 1];
const sequences = option('prompts') * option('group');
const tokens = { train: sequences * length, prefill: option('prompts') * promptLength }[what] ?? sequences * newTokens;
console.log(
  JSON.stringify({
    peer: `paretune on onnxruntime ${runtimeVersion}`,
    step_s: median,
    fastest_s: times[0],
    cpu_s: cpuTimes[cpuTimes.length >> 1],
    tokens_per_s: tokens / median,
    peak_mb: Math.round(process.resourceUsage().maxRSS / 1024),
    params: policy.base.flat.length,
  }),
);
process.exit(0);
