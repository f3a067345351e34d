/**
 * `npm run gpu-check`: everything that can be told of this machine's GPUs in some minutes, as text and as a JSON file to
 * attach to a report: who starts, which nodes fall back, whether the numbers agree with the CPU's, and how fast each is
 * beside it. It decides nothing; runs have their own gate.
 *
 *   npm run gpu-check                     all providers, the starter agent and a random model of 5 million parameters
 *   npm run gpu-check -- --model FOLDER   a model of yours as well (its numbers with an adapter of rank 16)
 *   npm run gpu-check -- --provider webgpu --out FILE --quick
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { toErrorRecord } from '../src-main/contract/errors.ts';
import { type ProviderName, providerNames } from '../src-main/contract/providers.ts';
import { randomStream } from '../src-main/engine/base/random.ts';
import { parseModelConfig } from '../src-main/engine/model/model-config.ts';
import { DecodeEngine } from '../src-main/engine/rollout/decode-engine.ts';
import { openAgent } from '../src-main/engine/run/agent.ts';
import { describeReport, type NumericsReport, numericsReport } from '../src-main/engine/run/numerics-gate.ts';
import { deviceMemoryInUse } from '../src-main/engine/runtime/device-tensor.ts';
import { copyPolicy, type Policy, randomPolicy } from '../src-main/engine/runtime/policy.ts';
import { requireDevice } from '../src-main/engine/runtime/providers.ts';
import { builtInProviders, runtimeVersion } from '../src-main/engine/runtime/session.ts';
import { Trainer } from '../src-main/engine/train/trainer.ts';

/** Tokens a second of the second time; the first compiles. Megabytes of weights, gradients and moments on a GPU. */
type Speed = { trainTokens: number; decodeTokens: number; firstUpdateSeconds: number; heldMB: number };
type Result = { model: string; numerics: NumericsReport | null; speed: Speed };
type Found = { provider: ProviderName; problem: string; results: Result[] };

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
const models: [string, Policy][] = [['starter agent, all weights', starter.newPolicy(null, 0)]];
if (!values.quick) {
  models.push(['starter agent, adapter', starter.newPolicy({ ...lora, targets: [...lora.targets] }, 0)]);
  models.push([
    'random, 5 million parameters, all weights',
    randomPolicy(mediumConfig(), randomStream(0, 'gpu-check')),
  ]);
}
if (values.model !== undefined) {
  const agent = openAgent(resolve(process.env.INIT_CWD ?? '.', values.model));
  models.push([values.model, agent.newPolicy({ ...lora, targets: [...lora.targets] }, 0)]);
}

const machine = {
  system: `${platform()} ${release()} ${process.arch}`,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  memoryGB: Math.round(totalmem() / 1e9),
  node: process.versions.node,
  onnxruntime: runtimeVersion,
};
console.log(
  Object.entries(machine)
    .map(([name, value]) => `${name} ${value}`)
    .join(', '),
);

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
    for (const [model, policy] of models) {
      const numerics = provider === 'cpu' ? null : await numericsReport(policy, provider, machine.cores);
      const speed = await measure(policy, provider);
      entry.results.push({ model, numerics, speed });
      console.log(`  ${model}`);
      if (numerics) console.log(`    ${describeReport(numerics)}`);
      console.log(
        `    ${Object.entries(speed)
          .map(([name, value]) => `${name} ${value}`)
          .join(', ')}`,
      );
    }
  } catch (error) {
    const { message, hint } = toErrorRecord(error);
    entry.problem = message;
    console.log(`  ${message}\n  ${hint}`);
  }
}
const out = resolve(process.env.INIT_CWD ?? '.', values.out);
writeFileSync(out, `${JSON.stringify({ machine, found }, null, 2)}\n`);
console.log(`\nWritten to ${out}.`);
const bad = found.some(({ results }) => results.some(({ numerics }) => numerics?.ok === false));
process.exitCode = bad ? 1 : 0;

/** 32 rows of 64 tokens: two updates, and 32 tokens a row after prompts of 32. */
async function measure(policy: Policy, provider: ProviderName): Promise<Speed> {
  const threads = machine.cores;
  const random = randomStream(0, 'gpu-check rows');
  const token = () => Math.floor(random.next() * policy.config.vocabSize);
  const rows = Array.from({ length: 32 }, () => ({
    tokens: Array.from({ length: 64 }, token),
    trained: Array.from({ length: 32 }, (_, i) => 32 + i),
    advantage: 1,
  }));
  const own = copyPolicy(policy);
  const trainer = new Trainer(own, {
    ...{ objective: 'supervised', aggregation: 'batch-token', maxGradNorm: 1, microBatchTokens: 2048, maxTokens: 64 },
    ...{ beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, threads, provider, onFallback() {} },
  });
  const engine = new DecodeEngine(own, { threads, maxTokens: 64, provider, onFallback() {} });
  try {
    const firstUpdateSeconds = await seconds(() => trainer.update(rows, 1e-5));
    const update = await seconds(() => trainer.update(rows, 1e-5));
    const decode = async () => {
      const cache = engine.newCache(rows.length);
      const uniforms = rows.map(() => [random.next()]);
      let fresh: readonly (readonly number[])[] = rows.map(({ tokens }) => tokens.slice(0, 32));
      for (let step = 0; step < 32; step++) {
        const result = await engine.run({ tokens: fresh, uniforms, sampling: 'sampled', temperature: 1 }, cache);
        for (const [row, added] of fresh.entries()) result.keep(cache, row, row, added.length);
        fresh = result.tokens;
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

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}

function mediumConfig() {
  return parseModelConfig({
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
  });
}
