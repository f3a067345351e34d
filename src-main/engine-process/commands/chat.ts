/**
 * `chat`: one answer of an agent to a conversation, with its tool calls carried out, each told as it is made and as it is
 * answered. The agent stays open between two requests, so that a conversation does not load it again.
 */
import { z } from 'zod';
import type { ChatMessage, Json, Problem } from '../../contract/records.ts';
import { mcpPrefix } from '../../contract/mcp.ts';
import { type RunConfig, runConfigSchema } from '../../contract/run-config.ts';
import type { ChatAnswer, ChatStep } from '../../contract/window-records.ts';
import { type Environment, openEnvironment } from '../../engine/run/environment.ts';
import { costOf } from '../../engine/run/evaluate.ts';
import { type CallTool, collectTrajectories } from '../../engine/rollout/collect.ts';
import { DecodeEngine } from '../../engine/rollout/decode-engine.ts';
import { openAgentOf, openRunPolicy, type OpenPolicy } from '../agents.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { corpusOpener } from '../corpora.ts';
import { approvalOf, ownToolOpener } from '../own-tools.ts';
import { threadsOf } from '../threads.ts';
import { withStore } from '../with-store.ts';

const toolCall = z.strictObject({ name: z.string(), arguments: z.record(z.string(), z.json()) });
const message = z.strictObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string().max(1_000_000),
  toolCalls: z.array(toolCall).optional(),
  name: z.string().optional(),
});

type OpenChat = { key: string; open: OpenPolicy; environment: Environment; engine: DecodeEngine };
let current: OpenChat | null = null;

export const command = defineCommand({
  payload: z.strictObject({
    run: z.string().optional(),
    checkpoint: z.string().default('best'),
    model: z.string().default('starter:over-user'),
    task: z.string(),
    tools: z.array(z.string()).default([]),
    messages: z.array(message).min(1),
    temperature: z.number().min(0).max(10).default(0),
    seed: z.int().min(0).default(0),
    answer: z.int().min(0).default(0),
  }),
  async run(payload, context): Promise<ChatAnswer> {
    const began = performance.now();
    const settings = await settingsOf(payload, context.dataFolder);
    const { environment, engine } = await openChat(payload, settings, context);
    const [task] = environment.tasks;
    const problem: Problem = {
      id: `chat ${payload.messages.length}`,
      task: task.name,
      split: 'train',
      messages: payload.messages,
      tools: [...environment.toolNames],
      answers: [],
      grader: { kind: 'exact' },
      tags: [],
      unseen: true,
    };
    const format = environment.formatOf(problem);
    const { limits } = runConfigSchema.parse({ model: payload.model, tasks: [payload.task] });
    const prompt = format.promptTokens(problem.messages).length;
    const { groups } = await collectTrajectories(
      [{ problem, samples: 1 }],
      engine,
      () => format,
      told(environment.callTool, payload.answer, context),
      {
        limits: { ...limits, tokens: Math.min(engine.settings.maxTokens, prompt + 512), resultTokens: 256 },
        batch: 1,
        seed: payload.seed,
        step: 0,
        sampling: payload.temperature === 0 ? 'greedy' : 'sampled',
        temperature: payload.temperature === 0 ? 1 : payload.temperature,
        prices: settings.prices,
        weightsVersion: 0,
        clock: () => performance.now(),
        signal: context.signal,
      },
    );
    context.signal.throwIfAborted();
    const [trajectory] = groups[0];
    const messages: ChatMessage[] = trajectory.toolCalls.flatMap((call): ChatMessage[] => [
      { role: 'assistant', content: '', toolCalls: [{ name: call.name, arguments: call.arguments }] },
      { role: 'tool', name: call.name, content: call.output },
    ]);
    messages.push({ role: 'assistant', content: trajectory.answer });
    return {
      messages,
      answer: trajectory.answer,
      stopReason: trajectory.stopReason,
      cost: costOf(trajectory),
      tokens: trajectory.sampledLogprobs.length,
      seconds: (performance.now() - began) / 1000,
    };
  },
});

/** Calls tools as before, tells of each call and its result, and waits for none once the user stops the answer. */
function told(callTool: CallTool, answer: number, { item, signal }: CommandContext): CallTool {
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  stopped.catch(() => {});
  const tell = (step: ChatStep) => item(step as unknown as Json);
  let calls = 0;
  return async (problem, name, args) => {
    const made = { answer, call: calls++, name, arguments: args };
    tell({ ...made, result: null });
    const result = await Promise.race([callTool(problem, name, args), stopped]);
    tell({ ...made, result });
    return result;
  };
}

type ChatSettings = Pick<RunConfig, 'tools' | 'taskOptions' | 'prices'>;

/** Tools, corpus and prices as the run has them; those of the task where the chat is with a model alone. */
async function settingsOf(payload: { run?: string; tools: string[] }, dataFolder: string): Promise<ChatSettings> {
  const { run, tools } = payload;
  if (run === undefined) return { tools, taskOptions: { corpus: '', report: '' }, prices: {} };
  return withStore(dataFolder, 'read', (store) => {
    const { config, runId } = store.getRun(run);
    const prices = { ...config.prices, ...store.priceChanges(runId).at(-1)?.prices };
    return { tools: tools.length > 0 ? tools : config.tools, taskOptions: config.taskOptions, prices };
  });
}

async function openChat(
  payload: { run?: string; checkpoint: string; model: string; task: string },
  { tools, taskOptions }: ChatSettings,
  context: CommandContext,
): Promise<OpenChat> {
  const { run, checkpoint, model, task } = payload;
  // an approval that was taken back or given anew ends the open chat
  const approved = tools
    .filter((name) => name.startsWith(mcpPrefix))
    .map((name) => approvalOf(context.dataFolder, name, 'attended'));
  const key = JSON.stringify([run, checkpoint, model, task, tools, approved]);
  if (current?.key === key) return current;
  await current?.engine.dispose();
  await current?.environment.close();
  current = null;
  const open = await (run === undefined
    ? openModel(context.dataFolder, model)
    : withStore(context.dataFolder, 'read', (store) => openRunPolicy(store, run, checkpoint)));
  const environment = await openEnvironment(
    open.agent,
    { tasks: [task], tools, taskOptions },
    corpusOpener(context),
    ownToolOpener(context.dataFolder, 'attended'),
  );
  const maxTokens = Math.min(4096, open.agent.config.maxPositions);
  current = { key, open, environment, engine: new DecodeEngine(open.policy, { threads: threadsOf(0), maxTokens }) };
  return current;
}

function openModel(dataFolder: string, model: string): OpenPolicy {
  const agent = openAgentOf(dataFolder, model);
  return { agent, policy: agent.newPolicy(null, 0), run: null, step: null };
}
