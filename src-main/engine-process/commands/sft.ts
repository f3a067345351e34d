/**
 * `sft`: supervised training of a model on demonstrations, saved as a model folder of its own. The warm start of an agent
 * that does not know its tools yet. A training that is stopped leaves a model as it is by then, one that is killed its last
 * checkpoint; the same command goes on from there.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { makePolicy, mergedWeights, trainable } from '../../engine/runtime/policy.ts';
import { readDemonstrations, type ToolTraces, toolTraces } from '../../engine/tasks/tool-traces.ts';
import { closeTools, makeTools } from '../../engine/tools/registry.ts';
import { adamwState } from '../../engine/train/adamw.ts';
import { hashTensors } from '../../engine/train/checkpoint.ts';
import { supervisedDefaults, supervisedRow, trainSupervised } from '../../engine/train/supervised.ts';
import { writeSafetensors } from '../../engine/weights/safetensors.ts';
import { openAgentOf } from '../agents.ts';
import { defineCommand } from '../command.ts';
import { threadsOf } from '../threads.ts';
import { importRecordName } from '../model-copy.ts';
import {
  endTraining,
  hashOf,
  openTraining,
  requireFreeFor,
  restoreTraining,
  saveTraining,
} from '../unfinished-training.ts';

export type SftResult = {
  folder: string;
  demonstrations: number;
  /** too long for the limit, nothing to learn in them, or no tool trace could be made */
  leftOut: number;
  /** rows of the files that the tasks keep for selection and report; 0 for chats, which have no splits */
  heldOut: number;
  /** updates made, of those asked for: fewer where it was stopped */
  steps: number;
  of: number;
  /** updates of an earlier call that this one went on from */
  before: number;
  seconds: number;
  /** mean negative log-likelihood of the trained tokens, nats: first and last step */
  loss: { before: number; after: number };
};

/** What a killed training loses at most. */
const SAVE_EVERY_MS = 60_000;

/** Files of a model folder that training does not change. */
const COPIED = /\.(json|jinja|model|txt)$/;

export const command = defineCommand({
  payload: z.strictObject({
    model: z.string(),
    /** JSONL files of chats, or of GSM8K / SVAMP rows of which tool traces are made */
    demonstrations: z.array(z.string()).min(1),
    traces: z.enum(['none', 'python', 'calculator']).default('none'),
    to: z.string(),
    steps: z.int().min(1).max(1_000_000).default(supervisedDefaults.steps),
    batchSize: z.int().min(1).max(4096).default(supervisedDefaults.batchSize),
    learningRate: z.number().min(0).max(1).default(supervisedDefaults.learningRate),
    maxTokens: z.int().min(8).max(131_072).default(supervisedDefaults.maxTokens),
    loraRank: z.int().min(0).max(1024).default(0),
    seed: z.int().min(0).default(0),
    threads: z.int().min(0).default(0),
  }),
  async run(payload, context): Promise<SftResult> {
    const began = performance.now();
    requireFreeFor(payload.to);
    const agent = openAgentOf(context.dataFolder, payload.model);
    context.progress({ label: 'reading demonstrations', done: 0, total: 0 });
    const { demonstrations, toolNames, skipped, heldOut } = await readAll(payload);
    const tools = makeTools(toolNames, { corpus: { documents: 0, search: () => [] } });
    const format = agent.chatFormat([...tools.values()]);
    await closeTools(tools);
    const encoded = demonstrations.map(({ messages }) =>
      supervisedRow(format.encodeDemonstration(messages), payload.maxTokens),
    );
    const rows = encoded.filter((row) => row !== null);

    const lora = payload.loraRank > 0 ? { rank: payload.loraRank, alpha: 2 * payload.loraRank, targets: LINEAR } : null;
    const weights = agent.folder.readWeights();
    const policy = makePolicy(agent.config, weights, lora, payload.seed);
    const { to, threads, demonstrations: _, model: __, ...settings } = payload;
    const training = openTraining(to, {
      ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, String(value)])),
      model: hashTensors(new Map([...weights].map(([name, { shape, data }]) => [name, { shape: [...shape], data }]))),
      demonstrations: hashOf(rows),
    });
    const trained = { policy, optimizer: adamwState(trainable(policy).flat.length) };
    const before = restoreTraining(training, trained);
    const loss = before?.loss ?? { first: Number.NaN, last: Number.NaN };
    let done = before?.step ?? 0;
    let savedAt = performance.now();
    const updates = trainSupervised(
      policy,
      rows,
      {
        ...supervisedDefaults,
        steps: payload.steps,
        batchSize: Math.min(payload.batchSize, rows.length),
        learningRate: payload.learningRate,
        warmupSteps: Math.min(supervisedDefaults.warmupSteps, Math.ceil(payload.steps / 10)),
        maxTokens: payload.maxTokens,
        threads: threadsOf(threads),
        seed: payload.seed,
      },
      { steps: done, optimizer: trained.optimizer },
    );
    for await (const step of updates) {
      if (step.step === 1) loss.first = step.loss;
      loss.last = step.loss;
      done = step.step;
      context.progress({ label: 'learning', done, total: payload.steps, note: `loss ${step.loss.toFixed(3)}` });
      if (context.signal.aborted) break;
      if (performance.now() - savedAt < SAVE_EVERY_MS) continue;
      saveTraining(training, trained, done, loss);
      savedAt = performance.now();
    }
    const ended = done === payload.steps;
    if (!ended) saveTraining(training, trained, done, loss);
    mkdirSync(to, { recursive: true });
    for (const name of readdirSync(agent.folder.folder)) {
      if (COPIED.test(name) && !name.endsWith('.index.json') && name !== importRecordName) {
        cpSync(join(agent.folder.folder, name), join(payload.to, name));
      }
    }
    const path = join(payload.to, 'model.safetensors');
    // that of a stopped training makes room for the next
    rmSync(path, { force: true });
    writeSafetensors(path, mergedWeights(policy));
    if (ended) endTraining(training);
    return {
      folder: payload.to,
      demonstrations: rows.length,
      leftOut: skipped + encoded.length - rows.length,
      heldOut,
      steps: done,
      of: payload.steps,
      before: before?.step ?? 0,
      seconds: Math.round((performance.now() - began) / 100) / 10,
      loss: { before: loss.first, after: loss.last },
    };
  },
});

const LINEAR = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];

/** The demonstrations of all files, and the tools that they call. */
async function readAll({
  demonstrations: files,
  traces,
}: {
  demonstrations: string[];
  traces: 'none' | 'python' | 'calculator';
}): Promise<ToolTraces & { toolNames: string[] }> {
  const missing = files.find((file) => !existsSync(file));
  if (missing !== undefined) throw new ParetuneError('not-found', `There is no file ${missing}.`);
  if (traces === 'none') {
    const demonstrations = (await Promise.all(files.map(readDemonstrations))).flat();
    const called = demonstrations.flatMap(({ messages }) =>
      messages.flatMap((message) => (message.toolCalls ?? []).map((call) => call.name)),
    );
    return { demonstrations, toolNames: [...new Set(called)], skipped: 0, heldOut: 0 };
  }
  const tools = makeTools([traces]);
  try {
    const all: ToolTraces = { demonstrations: [], skipped: 0, heldOut: 0 };
    for (const file of files) {
      const made = await toolTraces(file, { name: traces, call: tools.get(traces)!.call });
      all.demonstrations.push(...made.demonstrations);
      all.skipped += made.skipped;
      all.heldOut += made.heldOut;
    }
    return { ...all, toolNames: [traces] };
  } finally {
    await closeTools(tools);
  }
}
