/**
 * Rebuilds resources/starter from nothing, with one seed: two Llama-style agents trained from random weights by this
 * project's own supervised trainer on demonstrations that its own tasks generate.
 *
 *   npm run starter                                       both agents
 *   npm run starter -- --only over-user --to DIR --threads 1
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openCorpus } from '../src-main/engine-process/corpora.ts';
import { randomStream } from '../src-main/engine/base/random.ts';
import { type ModelConfig, parseModelConfig, toConfigJson } from '../src-main/engine/model/model-config.ts';
import { DecodeEngine } from '../src-main/engine/rollout/decode-engine.ts';
import { openAgent, resourcesFolder, starterNames } from '../src-main/engine/run/agent.ts';
import { openEnvironment } from '../src-main/engine/run/environment.ts';
import { policyPoint, rollOut } from '../src-main/engine/run/evaluate.ts';
import { mergedWeights, type Policy, randomPolicy } from '../src-main/engine/runtime/policy.ts';
import { resolveTask } from '../src-main/engine/tasks/built-in-tasks.ts';
import { encyclopediaWords } from '../src-main/engine/tasks/encyclopedia.ts';
import type { Start } from '../src-main/engine/tasks/task.ts';
import { makeChatFormat } from '../src-main/engine/text/chat-format.ts';
import { starterTokenizer } from '../src-main/engine/text/starter-tokenizer.ts';
import { makeTokenizer } from '../src-main/engine/text/tokenizer.ts';
import { makeTools } from '../src-main/engine/tools/registry.ts';
import { supervisedDefaults, supervisedRow, trainSupervised } from '../src-main/engine/train/supervised.ts';
import { writeSafetensors } from '../src-main/engine/weights/safetensors.ts';

const SEED = 1;
const WORDS = encyclopediaWords.filter((word) => /^\p{L}+$/u.test(word));
const MAX_TOKENS = 96;
/** Demonstrations generated for each task and phase, and what each phase is trained with. */
const PHASES = {
  1: { demonstrations: 60_000, steps: 1000, batchSize: 160, learningRate: 3e-3, warmupSteps: 60 },
  2: { demonstrations: 12_000, steps: 120, batchSize: 160, learningRate: 1e-3, warmupSteps: 10 },
} as const;
const TASKS: Record<Start, string[]> = {
  'over-user': ['arithmetic', 'multi-hop'],
  'under-user': ['arithmetic-calculator', 'multi-hop'],
};

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    to: { type: 'string', default: join(resourcesFolder, 'starter') },
    threads: { type: 'string', default: String(availableParallelism()) },
    steps: { type: 'string' },
  },
});
const threads = Number(options.threads);

for (const start of starterNames) {
  if (options.only === undefined || options.only === start) await buildStarter(start, join(options.to, start));
}
process.exit(0);

async function buildStarter(start: Start, folder: string): Promise<void> {
  const files = starterTokenizer(WORDS);
  const tokenizer = makeTokenizer(files.tokenizerJson, files.tokenizerConfig);
  const config = starterConfig(tokenizer.vocabSize, tokenizer.idOf('<|end|>')!, tokenizer.idOf('<|pad|>')!);
  const policy = randomPolicy(config, randomStream(SEED, 'starter', start), 0.05);
  console.log(`${start}: ${policy.base.flat.length} parameters, ${tokenizer.vocabSize} tokens, ${threads} threads`);

  for (const phase of [1, 2] as const) {
    const settings = { ...PHASES[phase], steps: Number(options.steps ?? PHASES[phase].steps) };
    const rows = (await encodedDemonstrations(start, phase, settings.demonstrations)).flatMap(
      (row) => supervisedRow(row, MAX_TOKENS) ?? [],
    );
    const began = performance.now();
    const training = trainSupervised(policy, rows, {
      ...supervisedDefaults,
      ...settings,
      maxTokens: MAX_TOKENS,
      // part of the result: another cut of a batch rounds otherwise
      microBatchTokens: 8192,
      threads,
      seed: SEED,
    });
    for await (const { step, loss } of training) {
      if (step % 50 !== 0 && step !== settings.steps) continue;
      const seconds = ((performance.now() - began) / 1000).toFixed(0);
      console.log(`${start} phase ${phase} step ${step}/${settings.steps} loss ${loss.toFixed(4)} ${seconds} s`);
      if (step % 400 === 0 || step === settings.steps) {
        saveAgent(folder, policy, files, config);
        await report(start, folder, policy);
      }
    }
  }
}

/** 0.35 million parameters: as small as still separates the methods. */
function starterConfig(vocabSize: number, end: number, pad: number): ModelConfig {
  return parseModelConfig({
    model_type: 'llama',
    hidden_size: 96,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    intermediate_size: 192,
    vocab_size: vocabSize,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    eos_token_id: end,
    pad_token_id: pad,
  });
}

async function encodedDemonstrations(start: Start, phase: 1 | 2, count: number) {
  const files = starterTokenizer(WORDS);
  const tokenizer = makeTokenizer(files.tokenizerJson, files.tokenizerConfig);
  const encoded: { tokens: number[]; mask: number[] }[] = [];
  for (const name of TASKS[start]) {
    const task = await resolveTask(name);
    const tools = [...makeTools(task.tools, { corpus: { documents: 0, search: () => [] } }).values()];
    const format = makeChatFormat({
      tokenizer,
      template: files.chatTemplate,
      tokenizerConfig: files.tokenizerConfig,
      eosTokenIds: [tokenizer.idOf('<|end|>')!],
      tools: tools.map((tool) => tool.spec),
      primaryArgument: (tool) => tools.find(({ spec }) => spec.name === tool)!.primaryArgument,
    });
    for (const { messages } of task.demonstrations!(count, SEED, { start, phase })) {
      encoded.push(format.encodeDemonstration(messages));
    }
  }
  return encoded;
}

function saveAgent(
  folder: string,
  policy: Policy,
  files: ReturnType<typeof starterTokenizer>,
  config: ModelConfig,
): void {
  mkdirSync(folder, { recursive: true });
  const json = (name: string, value: unknown) =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 1)}\n`);
  json('config.json', toConfigJson(config));
  json('generation_config.json', { eos_token_id: config.eosTokenIds, pad_token_id: config.padTokenId });
  json('tokenizer.json', files.tokenizerJson);
  json('tokenizer_config.json', files.tokenizerConfig);
  writeFileSync(join(folder, 'chat_template.jinja'), files.chatTemplate);
  writeSafetensors(join(folder, 'model.safetensors'), mergedWeights(policy));
}

async function report(start: Start, folder: string, policy: Policy): Promise<void> {
  const agent = openAgent(folder);
  for (const task of TASKS[start]) {
    const environment = await openEnvironment(agent, { tasks: [task], tools: [] }, (corpus) =>
      openCorpus(corpus, { dataFolder: tmpdir(), progress() {} }),
    );
    const engine = new DecodeEngine(policy, { threads, maxTokens: 160 });
    const problems = environment.problems('selection', 300, SEED);
    for (const sampling of ['sampled', 'greedy'] as const) {
      const evaluated = await rollOut(environment, engine, problems, {
        limits: { calls: 4, tokens: 160, turns: 6, seconds: 120, resultTokens: 48 },
        batch: 256,
        seed: SEED,
        step: 0,
        sampling,
        temperature: 1,
        prices: {},
        weightsVersion: 0,
        clock: () => performance.now(),
      });
      const point = policyPoint(evaluated, { step: 0, split: 'selection', sampling, klToStart: null });
      const tags = Object.entries(point.breakdown).filter(([name]) => name.startsWith('tag:'));
      console.log(
        `  ${task} ${sampling}: success ${point.success.toFixed(3)} calls ${point.calls.toFixed(2)} length ${point.responseLength.toFixed(1)}  ${tags
          .map(([name, part]) => `${name.slice(4)} ${part.success.toFixed(2)}/${part.cost.toFixed(2)}`)
          .join('  ')}`,
      );
    }
    await engine.dispose();
    await environment.close();
  }
}
