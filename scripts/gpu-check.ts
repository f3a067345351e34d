/**
 * `npm run gpu-check`: everything that can be told of this machine's GPUs in some minutes, as text and as a JSON file to
 * attach to a report: who starts, which nodes fall back, whether the numbers agree with the CPU's, and how fast each is
 * beside it. Where PARETUNE_PEERS names a Python with torch and transformers (scripts/make-peers.sh), torch does the same work
 * on its best device, and its numbers and speeds stand beside ours. It decides nothing; runs have their own gate.
 *
 *   npm run gpu-check                     all providers, the starter agent and a random model of 5 million parameters
 *   npm run gpu-check -- --model FOLDER   a model of yours as well (its numbers with an adapter of rank 16)
 *   npm run gpu-check -- --provider webgpu --out FILE --quick
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, platform, release, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { toErrorRecord } from '../src-main/contract/errors.ts';
import { type ProviderName, providerNames } from '../src-main/contract/providers.ts';
import { randomStream, uniformAt } from '../src-main/engine/base/random.ts';
import { parseModelConfig } from '../src-main/engine/model/model-config.ts';
import {
  type Cache,
  type DecodeChunk,
  DecodeEngine,
  type Draws,
  usualChunk,
} from '../src-main/engine/rollout/decode-engine.ts';
import { modelFolderOf, openAgent } from '../src-main/engine/run/agent.ts';
import {
  compareNumbers,
  describeChecks,
  describeReport,
  type NumericsCheck,
  type NumericsReport,
  numbersOf,
  numericsReport,
} from '../src-main/engine/run/numerics-gate.ts';
import { deviceMemoryInUse } from '../src-main/engine/runtime/device-tensor.ts';
import { tensorMap } from '../src-main/engine/runtime/parameters.ts';
import { copyPolicy, type Policy, randomPolicy } from '../src-main/engine/runtime/policy.ts';
import { requireDevice } from '../src-main/engine/runtime/providers.ts';
import { builtInProviders, runtimeVersion } from '../src-main/engine/runtime/session.ts';
import type { TrainRow } from '../src-main/engine/train/pack-batch.ts';
import { Trainer } from '../src-main/engine/train/trainer.ts';
import { writeSafetensors } from '../src-main/engine/weights/safetensors.ts';
import { python } from '../tests/python-peers.ts';
import { type TorchSpeed, torchNumbers } from './torch-numbers.ts';

/** Tokens a second of the second time; the first compiles. Megabytes of weights, gradients and moments on a GPU. */
type Speed = { trainTokens: number; decodeTokens: number; firstUpdateSeconds: number; heldMB: number };
type Result = { model: string; numerics: NumericsReport | null; speed: Speed };
type Found = { provider: ProviderName; problem: string; results: Result[] };
type Beside =
  | { model: string; device: string; numerics: NumericsCheck[]; speed: TorchSpeed }
  | { model: string; problem: string };
/** `folder`: Hugging Face files of the same weights, null for an adapter, of which torch is not asked. */
type Model = { name: string; policy: Policy; folder: string | null };

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    provider: { type: 'string' },
    out: { type: 'string', default: 'gpu-check.json' },
    quick: { type: 'boolean', default: false },
  },
});

const lora = { rank: 16, alpha: 32, targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] as const };
const starter = openAgent('starter:over-user');
const scratch = mkdtempSync(join(tmpdir(), 'paretune-gpu-check-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
const models: Model[] = [
  {
    name: 'starter agent, all weights',
    policy: starter.newPolicy(null, 0),
    folder: modelFolderOf('starter:over-user'),
  },
];
if (!values.quick) {
  const adapter = starter.newPolicy({ ...lora, targets: [...lora.targets] }, 0);
  models.push({ name: 'starter agent, adapter', policy: adapter, folder: null });
  models.push({ name: 'random, 5 million parameters, all weights', ...randomModel(scratch) });
}
if (values.model !== undefined) {
  const agent = openAgent(resolve(process.env.INIT_CWD ?? '.', values.model));
  models.push({
    name: values.model,
    policy: agent.newPolicy({ ...lora, targets: [...lora.targets] }, 0),
    folder: null,
  });
}

const machine = {
  system: `${platform()} ${release()} ${process.arch}`,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  memoryGB: Math.round(totalmem() / 1e9),
  node: process.versions.node,
  onnxruntime: runtimeVersion,
};
console.log(listed(machine));

const asked = providerNames.filter(
  (name) => values.provider === undefined || name === 'cpu' || name === values.provider,
);
const found: Found[] = [];
for (const provider of asked.filter((name) => builtInProviders().includes(name))) {
  const entry: Found = { provider, problem: '', results: [] };
  found.push(entry);
  console.log(`\n${provider}`);
  try {
    await requireDevice(provider);
    for (const { name: model, policy } of models) {
      const numerics = provider === 'cpu' ? null : await numericsReport(policy, provider, machine.cores);
      const speed = await measure(policy, provider);
      entry.results.push({ model, numerics, speed });
      console.log(`  ${model}`);
      if (numerics) console.log(`    ${describeReport(numerics)}`);
      console.log(`    ${listed(speed)}`);
    }
  } catch (error) {
    const { message, hint } = toErrorRecord(error);
    entry.problem = message;
    console.log(`  ${message}\n  ${hint}`);
  }
}
const torch = await besideTorch();
const out = resolve(process.env.INIT_CWD ?? '.', values.out);
writeFileSync(out, `${JSON.stringify({ machine, found, torch }, null, 2)}\n`);
console.log(`\nWritten to ${out}.`);
const bad = found.some(({ results }) => results.some(({ numerics }) => numerics?.ok === false));
process.exitCode = bad ? 1 : 0;

/** Torch on the same weights and rows, where there is one; its numbers are held against our CPU's. */
async function besideTorch(): Promise<Beside[]> {
  if (python === '') {
    console.log('\ntorch\n  PARETUNE_PEERS names no Python: not compared.');
    return [];
  }
  console.log('\ntorch');
  const results: Beside[] = [];
  for (const { name: model, policy, folder } of models) {
    if (folder === null) continue;
    try {
      const speedRows = speedRowsOf(policy).map(({ tokens }) => tokens);
      const { version, device, numbers, speed } = torchNumbers(python, folder, policy, speedRows, machine.cores);
      const numerics = compareNumbers(numbers, await numbersOf(policy, 'cpu', machine.cores));
      results.push({ model, device: `torch ${version} on ${device}`, numerics, speed });
      console.log(`  ${model}\n    ${describeChecks(`torch ${version} on ${device}`, numerics)}`);
      console.log(`    ${listed(speed)}`);
    } catch (error) {
      results.push({ model, problem: (error as Error).message });
      console.log(`  ${model}\n    ${(error as Error).message}`);
    }
  }
  return results;
}

function listed(values: Record<string, number | string>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

/** 32 rows of 64 tokens. */
function speedRowsOf(policy: Policy): TrainRow[] {
  const random = randomStream(0, 'gpu-check rows');
  const token = () => Math.floor(random.next() * policy.config.vocabSize);
  return Array.from({ length: 32 }, () => ({
    tokens: Array.from({ length: 64 }, token),
    trained: Array.from({ length: 32 }, (_, i) => 32 + i),
    advantage: 1,
  }));
}

/** Two updates, and 32 tokens a row after prompts of 32, several in one run where the provider decodes so. */
async function measure(policy: Policy, provider: ProviderName): Promise<Speed> {
  const threads = machine.cores;
  const rows = speedRowsOf(policy);
  const own = copyPolicy(policy);
  const trainer = new Trainer(own, {
    ...{ objective: 'supervised', aggregation: 'batch-token', maxGradNorm: 1, microBatchTokens: 2048, maxTokens: 64 },
    ...{ beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, threads, provider, onFallback() {} },
  });
  const engine = new DecodeEngine(own, {
    threads,
    maxTokens: 64,
    provider,
    chunk: usualChunk(provider),
    onFallback() {},
  });
  try {
    const firstUpdateSeconds = await seconds(() => trainer.update(rows, 1e-5));
    const update = await seconds(() => trainer.update(rows, 1e-5));
    const decode = async () => {
      const cache = engine.newCache(rows.length);
      const how = { sampling: 'sampled', temperature: 1 } as const;
      let queues: readonly (readonly number[])[] = rows.map(({ tokens }) => tokens.slice(0, 32));
      for (let drawn = 0; drawn < 32; ) {
        // the prompts side by side, then one token a run, or as many as the provider takes
        const turns = drawn === 0 ? 1 : Math.min(engine.chunk, 32 - drawn);
        const uniform = (row: number, turn: number) => uniformAt(0, row, drawn + turn, 0, 0, 0);
        const chunk = { ...how, queues, budgets: rows.map(() => turns), stops: rows.map(() => []), uniform };
        const step = { ...how, tokens: queues, uniforms: rows.map((_, row) => [uniform(row, 0)]) };
        const { tokens } = turns === 1 ? await engine.run(step, cache) : await inOneRun(engine, chunk, cache, turns);
        queues = tokens.map((drawnTokens) => [drawnTokens.at(-1)!]);
        drawn += turns;
      }
    };
    await decode();
    return {
      trainTokens: Math.round((32 * 64) / update),
      decodeTokens: Math.round((32 * 32) / (await seconds(decode))),
      firstUpdateSeconds: Math.round(100 * firstUpdateSeconds) / 100,
      heldMB: Math.round(deviceMemoryInUse().bytes / 1e5) / 10,
    };
  } finally {
    await engine.dispose();
    await trainer.dispose();
  }
}

async function inOneRun(engine: DecodeEngine, chunk: DecodeChunk, cache: Cache, turns: number): Promise<Draws> {
  const { keep, ...draws } = await engine.runChunk(chunk, cache);
  keep(chunk.queues.map(() => turns));
  return draws;
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}

/** A model of random weights, also written into a folder that torch reads. */
function randomModel(folder: string): { policy: Policy; folder: string } {
  const config = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    vocab_size: 4096,
    hidden_size: 256,
    intermediate_size: 688,
    num_hidden_layers: 5,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    hidden_act: 'silu',
    max_position_embeddings: 256,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    tie_word_embeddings: true,
    attention_bias: false,
  };
  const policy = randomPolicy(parseModelConfig(config), randomStream(0, 'gpu-check'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeSafetensors(join(folder, 'model.safetensors'), tensorMap(policy.base));
  return { policy, folder };
}
