/**
 * About how long a large model takes, known before its weights are loaded: a model of the same widths with a layer or two
 * does real decoding runs and a real gradient, and a layer's time is what the additional ones take. Answers are assumed to
 * use every token that they may, so the figure is a bound from above; tools are not in it.
 */
import { ParetuneError } from '../contract/errors.ts';
import type { RunConfig } from '../contract/run-config.ts';
import type { LoraOptions } from '../engine/model/lora.ts';
import type { ModelConfig } from '../engine/model/model-config.ts';
import { weightSpecs } from '../engine/model/weight-specs.ts';
import { openComputing } from '../engine/run/run-provider.ts';
import { elementCount, makeParameters, tensorMap } from '../engine/runtime/parameters.ts';
import { KvCache } from '../engine/rollout/kv-cache.ts';
import { makePolicy, type Policy } from '../engine/runtime/policy.ts';

/** Seconds for one trajectory, sampled and learned from, or sampled alone. */
export type TrajectoryTime = { trained: number; sampled: number; layersTimed: number };

/** Tokens of one gradient that is timed. */
const gradientTokens = 1024;
/** Timed runs of each kind: short ones are repeated, and the mean counts, since the run will share the machine as they do. */
const repetitions = { least: 3, most: 500, seconds: 1 };
/** Layers beyond the first are as many as have this many parameters, at most four. */
const mostLayerParameters = 64e6;

/** `promptTokens`: the mean of the task's prompts. Throws `interrupted`. */
export async function thinModelTime(
  model: ModelConfig,
  config: RunConfig,
  promptTokens: number,
  threads: number,
  signal: AbortSignal,
): Promise<TrajectoryTime> {
  const most = layersToTime(model);
  const few = await timeLayers({ ...model, layers: 1 }, config, promptTokens, threads, signal);
  const more = most > 1 ? await timeLayers({ ...model, layers: most }, config, promptTokens, threads, signal) : few;
  /** seconds at all layers: never less than at those that were timed */
  const all = (kind: keyof Times) => {
    const perLayer = most > 1 ? Math.max(0, more[kind] - few[kind]) / (most - 1) : 0;
    return more[kind] + perLayer * (model.layers - most);
  };
  const answer = answerTokensOf(model, config, promptTokens);
  const decoded = answer * all('decodedToken');
  const length = promptTokens + answer;
  const passes = config.train.updatesPerBatch + (config.train.klCoefficient > 0 ? 1 / 3 : 0);
  return {
    trained: decoded + (promptTokens * all('promptToken')) / config.groupSize + passes * length * all('learnedToken'),
    sampled: decoded + promptTokens * all('promptToken'),
    layersTimed: most,
  };
}

/** The tokens that an answer has at most. */
export function answerTokensOf(model: ModelConfig, { limits }: RunConfig, promptTokens: number): number {
  return Math.max(1, Math.min(limits.tokens, model.maxPositions) - Math.round(promptTokens));
}

function layersToTime(model: ModelConfig): number {
  const ofLayer = weightSpecs(model)
    .filter(({ name }) => name.includes('.layers.0.'))
    .reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return Math.min(model.layers, 1 + Math.max(1, Math.min(4, Math.floor(mostLayerParameters / ofLayer))));
}

/** Seconds for a token of one row. */
type Times = { decodedToken: number; promptToken: number; learnedToken: number };

async function timeLayers(
  model: ModelConfig,
  config: RunConfig,
  promptTokens: number,
  threads: number,
  signal: AbortSignal,
): Promise<Times> {
  const maxTokens = Math.min(config.limits.tokens, model.maxPositions);
  const policy = madeUpPolicy(model, config.train.parameters === 'lora' ? config.train.lora : null);
  const { engine, trainer } = openComputing(config, policy, threads);
  const secondsOf = async (work: () => Promise<unknown>) => {
    await work(); // the first one opens the session
    const { least, most, seconds: enough } = repetitions;
    let [count, seconds] = [0, 0];
    for (; count < least || (seconds < enough && count < most); count++) {
      if (signal.aborted) throw new ParetuneError('interrupted', 'Stopped before it was measured.');
      const from = performance.now();
      await work();
      seconds += (performance.now() - from) / 1000;
    }
    return seconds / count;
  };
  try {
    const prompt = Math.max(1, Math.round(promptTokens));
    const answer = answerTokensOf(model, config, promptTokens);
    const rows = Math.min(config.rolloutBatch, config.problemsPerStep * config.groupSize);
    const step = (count: number, tokens: number) => ({
      tokens: Array.from({ length: count }, () => Array.from({ length: tokens }, (_, i) => i % model.vocabSize)),
      uniforms: Array.from({ length: count }, () => [0.5]),
      sampling: 'sampled' as const,
      temperature: 1,
    });
    // caches are as long as in the middle of an answer
    const cache = KvCache.empty(rows, model);
    const length = Math.max(1, Math.min(maxTokens - 1, Math.round(prompt + answer / 2)));
    cache.reserve(length + 1);
    cache.lengths.fill(length);
    const decoded = await secondsOf(async () => {
      await engine.run(step(rows, 1), cache);
      cache.lengths.fill(length);
    });
    const prompts = Math.min(config.problemsPerStep, 4);
    const prefilled = await secondsOf(() => engine.run(step(prompts, prompt), KvCache.empty(prompts, model)));
    const total = prompt + answer;
    const trajectories = Math.max(1, Math.floor(Math.min(gradientTokens, config.train.microBatchTokens) / total));
    const learned = await secondsOf(() =>
      trainer.gradient(
        step(trajectories, total).tokens.map((tokens) => ({
          tokens,
          trained: Array.from({ length: answer }, (_, i) => prompt + i),
          advantage: 1,
        })),
      ),
    );
    return {
      decodedToken: decoded / rows,
      promptToken: prefilled / (prompts * prompt),
      learnedToken: learned / (trajectories * total),
    };
  } finally {
    await trainer.dispose();
    await engine.dispose();
  }
}

/** Weights that only take as long as real ones: small, of both signs, never denormal. */
function madeUpPolicy(config: ModelConfig, lora: LoraOptions | null): Policy {
  const weights = makeParameters(weightSpecs(config));
  const { flat } = weights;
  for (let i = 0; i < flat.length; i++) flat[i] = ((i * 1103515245 + 12345) % 4096) / 1e5 - 0.02;
  return makePolicy(config, tensorMap(weights), lora);
}
