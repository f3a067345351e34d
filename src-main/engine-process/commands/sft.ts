/**
 * `sft`: supervised training of a model on demonstrations, saved as a model folder of its own. The warm start of an agent
 * that does not know its tools yet.
 */
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import { makePolicy, mergedWeights } from '../../engine/runtime/policy.ts';
import { readDemonstrations, type ToolTraces, toolTraces } from '../../engine/tasks/tool-traces.ts';
import { closeTools, makeTools } from '../../engine/tools/registry.ts';
import { supervisedDefaults, supervisedRow, trainSupervised } from '../../engine/train/supervised.ts';
import { writeSafetensors } from '../../engine/weights/safetensors.ts';
import { openAgentOf } from '../agents.ts';
import { defineCommand } from '../command.ts';
import { threadsOf } from '../drive-run.ts';
import { importRecordName } from '../model-copy.ts';

export type SftResult = {
  folder: string;
  demonstrations: number;
  /** too long for the limit, nothing to learn in them, or no tool trace could be made */
  leftOut: number;
  /** rows of the files that the tasks keep for selection and report; 0 for chats, which have no splits */
  heldOut: number;
  steps: number;
  seconds: number;
  /** mean negative log-likelihood of the trained tokens, nats: first and last step */
  loss: { before: number; after: number };
};

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
    if (existsSync(payload.to) && readdirSync(payload.to).length > 0) {
      throw new ParetuneError('usage', `${payload.to} is not empty.`, { hint: 'Name a new folder with --to.' });
    }
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
    const policy = makePolicy(agent.config, agent.folder.readWeights(), lora, payload.seed);
    const loss = { before: Number.NaN, after: Number.NaN };
    let done = 0;
    const training = trainSupervised(policy, rows, {
      ...supervisedDefaults,
      steps: payload.steps,
      batchSize: Math.min(payload.batchSize, rows.length),
      learningRate: payload.learningRate,
      warmupSteps: Math.min(supervisedDefaults.warmupSteps, Math.ceil(payload.steps / 10)),
      maxTokens: payload.maxTokens,
      threads: threadsOf(payload.threads),
      seed: payload.seed,
    });
    for await (const step of training) {
      if (step.step === 1) loss.before = step.loss;
      loss.after = step.loss;
      done = step.step;
      context.progress({ label: 'learning', done, total: payload.steps, note: `loss ${step.loss.toFixed(3)}` });
      if (context.signal.aborted) break;
    }
    mkdirSync(payload.to, { recursive: true });
    for (const name of readdirSync(agent.folder.folder)) {
      if (COPIED.test(name) && !name.endsWith('.index.json') && name !== importRecordName) {
        cpSync(join(agent.folder.folder, name), join(payload.to, name));
      }
    }
    writeSafetensors(join(payload.to, 'model.safetensors'), mergedWeights(policy));
    return {
      folder: payload.to,
      demonstrations: rows.length,
      leftOut: skipped + encoded.length - rows.length,
      heldOut,
      steps: done,
      seconds: Math.round((performance.now() - began) / 100) / 10,
      loss,
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
