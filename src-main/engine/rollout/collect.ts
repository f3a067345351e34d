/**
 * Rollouts: many trajectories decoded side by side, tools running beside them. Read `collectTrajectories` top to bottom.
 *
 * Every run of the decode graph feeds each row its next tokens: the token it sampled last, or tokens that were put there
 * (a prompt, a tool result) and are not learned from. Token-in, token-out: what was sampled is never decoded and encoded
 * again. A prompt is run once for its whole group. Where the engine decodes in chunks, a run feeds each row several tokens one
 * after the other, what it draws among them.
 *
 * What a trajectory holds depends on nothing but the weights, the seed and the problem: a tool's answer joins a fixed
 * number of runs after its call, however long the tool took, and each draw is keyed by (seed, step, problem, sample,
 * token). Only the wall-clock limit is outside of that; it ends a trajectory as ungraded.
 */
import type {
  Json,
  Problem,
  Segment,
  StopReason,
  ToolCallRecord,
  ToolCallRequest,
  ToolResult,
  Trajectory,
} from '../../contract/records.ts';
import type { RunConfig } from '../../contract/run-config.ts';
import { assert } from '../base/assert.ts';
import { hash32, uniformAt } from '../base/random.ts';
import type { Cache, DecodeEngine, Sampling } from './decode-engine.ts';
import type { Placement } from './kv-cache.ts';
import { runPrompts } from './run-prompts.ts';

/** What rollouts need of a model's text: filled by text/chat-format.ts. */
export type TurnFormat = {
  promptTokens(messages: Problem['messages']): number[];
  toolSuffix(results: { name: string; content: string }[]): number[];
  parseTurn(tokens: readonly number[]): { calls: ToolCallRequest[]; text: string; malformed: string | null };
  stopTokens: readonly number[];
  /** the text cut to at most `count` tokens */
  cutText(text: string, count: number): string;
};

export type CallTool = (problem: Problem, name: string, args: Record<string, Json>) => Promise<ToolResult>;

export type RolloutSettings = {
  limits: RunConfig['limits'];
  /** rows decoded at once */
  batch: number;
  seed: number;
  step: number;
  sampling: Sampling;
  temperature: number;
  /** price of one call by tool; unnamed tools cost 1 */
  prices: Readonly<Record<string, number>>;
  weightsVersion: number;
  /** monotonic clock in milliseconds, for limits and records only */
  clock: () => number;
  signal?: AbortSignal;
};

/** `firstSample` numbers the draws: a problem asked for twice in a step gets other trajectories the second time. */
export type RolloutRequest = { problem: Problem; samples: number; firstSample?: number };

export type RolloutTimes = { toolWaitMs: number; decodeRuns: number; decodedRows: number };

/** Runs after which a tool's answer joins: of one token each, or of several. */
const JOIN_AFTER = 2;
const JOIN_AFTER_CHUNK = 1;
/** What one run costs beside its tokens, in tokens: decides how many put-in tokens are fed at once. */
const RUN_OVERHEAD = 48;
const PURPOSE = hash32('rollout');

/** A trajectory under construction and its place in the batch. */
type Row = {
  problem: Problem;
  format: TurnFormat;
  key: number;
  /** 0 .. G-1, and the number of its draws */
  sample: number;
  draw: number;
  tokens: number[];
  segments: Segment[];
  logprobs: number[];
  calls: ToolCallRecord[];
  turns: number;
  turnStart: number;
  /** tokens that the cache does not hold yet */
  pending: number[];
  waiting: { results: Promise<(ToolResult | null)[]>; joinAt: number } | null;
  startedAt: number;
  ended: StopReason | null;
  answer: string;
};

/** All trajectories of the requests, [requests][samples]. */
export async function collectTrajectories(
  requests: readonly RolloutRequest[],
  engine: DecodeEngine,
  formatOf: (problem: Problem) => TurnFormat,
  callTool: CallTool,
  settings: RolloutSettings,
): Promise<{ groups: Trajectory[][]; times: RolloutTimes }> {
  const context = { engine, formatOf, callTool, settings };
  const largest = Math.max(...requests.map((request) => request.samples));
  const cache = engine.newCache(Math.max(settings.batch, largest));
  const groups: Row[][] = requests.map(() => []);
  const times: RolloutTimes = { toolWaitMs: 0, decodeRuns: 0, decodedRows: 0 };
  const rows: Row[] = [];
  let next = 0;

  for (let run = 0; next < requests.length || rows.length > 0; run++) {
    settings.signal?.throwIfAborted();
    const admitted = admit(requests, next, cache.rows - rows.length, rows.length === 0);
    if (admitted > 0) {
      await startGroups(context, requests, groups, next, admitted, rows, cache);
      next += admitted;
    }
    const waitStart = settings.clock();
    await joinTools(context, rows, run);
    times.toolWaitMs += settings.clock() - waitStart;
    removeEnded(rows, cache);
    if (rows.every((row) => row.waiting !== null)) continue;
    await (suitsChunk(engine, rows) ? decodeChunk : decodeOnce)(context, rows, cache, run);
    times.decodeRuns++;
    times.decodedRows += rows.length;
    removeEnded(rows, cache);
  }
  engine.returnCache(cache);
  return { groups: groups.map((group) => group.map((row) => finish(row, settings))), times };
}

type Context = {
  engine: DecodeEngine;
  formatOf: (problem: Problem) => TurnFormat;
  callTool: CallTool;
  settings: RolloutSettings;
};

/**
 * How many of the next requests are let in: all that fit, unless they would fill less than a quarter of the free rows
 * while more are to come and others run.
 */
function admit(requests: readonly RolloutRequest[], next: number, free: number, idle: boolean): number {
  let count = 0;
  let room = free;
  while (next + count < requests.length && requests[next + count].samples <= room) {
    room -= requests[next + count].samples;
    count++;
  }
  const worthwhile = idle || next + count === requests.length || (free - room) * 4 >= free;
  return worthwhile ? count : 0;
}

/** Runs each prompt once, gives every sample of its group the prompt's cache and a first token of its own. */
async function startGroups(
  context: Context,
  requests: readonly RolloutRequest[],
  groups: Row[][],
  first: number,
  count: number,
  rows: Row[],
  cache: Cache,
): Promise<void> {
  const { settings, formatOf, engine } = context;
  const starting = requests.slice(first, first + count);
  const prompts = starting.map(({ problem }) => formatOf(problem).promptTokens(problem.messages));
  const draws = Math.max(...starting.map((request) => request.samples));
  const fits = prompts.map((prompt) => prompt.length < settings.limits.tokens);
  const keys = starting.map(({ problem }) => hash32(problem.id));
  const uniforms = prompts.map((prompt, i) =>
    Array.from({ length: draws }, (_, sample) =>
      uniformAt(settings.seed, PURPOSE, settings.step, keys[i], (starting[i].firstSample ?? 0) + sample, prompt.length),
    ),
  );
  // a prompt that does not fit is never run; its rows end at once
  const tokens = prompts.map((prompt, i) => (fits[i] ? prompt : prompt.slice(0, 1)));
  const { sampling, temperature } = settings;
  const started = await runPrompts(engine, tokens, { uniforms, sampling, temperature });
  const placements: Placement[] = [];
  for (const [i, { problem, samples, firstSample = 0 }] of starting.entries()) {
    for (let sample = 0; sample < samples; sample++) {
      const row: Row = {
        problem,
        format: formatOf(problem),
        key: keys[i],
        sample,
        draw: firstSample + sample,
        tokens: [...prompts[i]],
        segments: [{ kind: 'prompt', start: 0, end: prompts[i].length }],
        logprobs: [],
        calls: [],
        turns: 1,
        turnStart: prompts[i].length,
        pending: [],
        waiting: null,
        startedAt: settings.clock(),
        ended: fits[i] ? null : 'token-limit',
        answer: '',
      };
      groups[first + i].push(row);
      if (row.ended !== null) continue;
      placements.push({ row: rows.length, from: i });
      rows.push(row);
      const draw = settings.sampling === 'greedy' ? 0 : sample;
      take(context, row, started.tokens[i][draw], started.logprobs[i][draw], 0);
    }
  }
  await engine.handOver(started.cache, cache, placements);
}

/** Feeds every row its next tokens; a row whose queue ran empty gets the token it sampled. */
async function decodeOnce(context: Context, rows: Row[], cache: Cache, run: number): Promise<void> {
  const { settings, engine } = context;
  const chunk = chunkSize(rows.map((row) => row.pending.length));
  const tokens = rows.map((row) => row.pending.slice(0, chunk));
  const uniforms = rows.map((row) => [
    uniformAt(settings.seed, PURPOSE, settings.step, row.key, row.draw, row.tokens.length),
  ]);
  const result = await engine.run(
    { tokens, uniforms, sampling: settings.sampling, temperature: settings.temperature },
    cache,
  );
  for (const [slot, row] of rows.entries()) {
    if (row.pending.length === 0) continue;
    row.pending.splice(0, tokens[slot].length);
    // a row whose tool still works has only its stop token to feed: nothing may be sampled after it
    if (row.pending.length === 0 && row.waiting === null)
      take(context, row, result.tokens[slot][0], result.logprobs[slot][0], run);
  }
}

/** Queues too long for one chunk are fed side by side instead, in runs that draw at most one token. */
function suitsChunk({ chunk }: DecodeEngine, rows: readonly Row[]): boolean {
  return chunk > 1 && rows.every((row) => row.pending.length <= chunk);
}

/** As decodeOnce, but a row is fed what it draws, too: until the chunk, its token limit or its turn ends. */
async function decodeChunk(context: Context, rows: Row[], cache: Cache, run: number): Promise<void> {
  const { settings, engine } = context;
  const budgets = rows.map(({ pending, waiting, tokens }) => {
    if (waiting !== null) return pending.length;
    return Math.min(engine.chunk, pending.length - 1 + settings.limits.tokens - tokens.length);
  });
  const queues = rows.map(({ pending }) => (pending.length === 0 ? [0] : [...pending]));
  const lengths = rows.map((row) => row.tokens.length);
  const result = await engine.runChunk(
    {
      queues,
      budgets,
      stops: rows.map((row) => row.format.stopTokens),
      uniform: (slot, turn) => {
        const index = lengths[slot] + Math.max(0, turn + 1 - queues[slot].length);
        return uniformAt(settings.seed, PURPOSE, settings.step, rows[slot].key, rows[slot].draw, index);
      },
      sampling: settings.sampling,
      temperature: settings.temperature,
    },
    cache,
  );
  const kept = rows.map((row, slot) => {
    const waited = row.waiting !== null;
    let fed = 0;
    while (fed < budgets[slot] && row.ended === null && (waited || row.waiting === null)) {
      const draw = fed++;
      row.pending.shift();
      if (row.pending.length === 0 && !waited)
        take(context, row, result.tokens[slot][draw], result.logprobs[slot][draw], run);
    }
    return fed;
  });
  result.keep(kept);
}

/** The number of tokens a run feeds at most: what gets most tokens through for its cost (1, 2, 4 ... or the longest queue). */
function chunkSize(pending: readonly number[]): number {
  const longest = Math.max(...pending);
  let best = 1;
  let bestRate = 0;
  for (let size = 1; size < 2 * longest; size *= 2) {
    const chunk = Math.min(size, longest);
    const fed = pending.reduce((sum, length) => sum + Math.min(length, chunk), 0);
    const rate = fed / (RUN_OVERHEAD + pending.length * chunk);
    if (rate > bestRate) [best, bestRate] = [chunk, rate];
  }
  return best;
}

/** A sampled token joins the trajectory; a stop token ends the turn. */
function take(context: Context, row: Row, token: number, logprob: number, run: number): void {
  const { limits, clock } = context.settings;
  row.tokens.push(token);
  row.logprobs.push(logprob);
  row.pending.push(token);
  if (row.format.stopTokens.includes(token)) endTurn(context, row, run);
  else if (row.tokens.length >= limits.tokens) end(row, 'token-limit');
  else if (clock() - row.startedAt > limits.seconds * 1000) end(row, 'time-limit');
}

function end(row: Row, reason: StopReason): void {
  row.ended = reason;
  if (row.tokens.length > row.turnStart)
    row.segments.push({ kind: 'model', start: row.turnStart, end: row.tokens.length });
}

/** The model ended its turn: it answered, or it called tools, which start at once. */
function endTurn(context: Context, row: Row, run: number): void {
  const { limits, prices } = context.settings;
  const turn = row.format.parseTurn(row.tokens.slice(row.turnStart, -1));
  row.answer = turn.text;
  const reason = endOfTurn(row, turn, limits);
  if (reason !== null) {
    end(row, reason);
    return;
  }
  row.segments.push({ kind: 'model', start: row.turnStart, end: row.tokens.length });
  const results = turn.calls.map(async ({ name, arguments: args }) => {
    if (!row.problem.tools.includes(name)) return null;
    try {
      return await context.callTool(row.problem, name, args);
    } catch {
      return brokenTool;
    }
  });
  for (const { name, arguments: args } of turn.calls) {
    row.calls.push({
      name,
      arguments: args,
      output: '',
      status: 'ok',
      price: prices[name] ?? 1,
      milliseconds: 0,
      resultStart: -1,
    });
  }
  row.pending = [row.tokens[row.tokens.length - 1]];
  row.waiting = {
    results: Promise.all(results),
    joinAt: run + (context.engine.chunk > 1 ? JOIN_AFTER_CHUNK : JOIN_AFTER),
  };
}

function endOfTurn(
  row: Row,
  turn: ReturnType<TurnFormat['parseTurn']>,
  limits: RunConfig['limits'],
): StopReason | null {
  if (turn.malformed !== null) return 'malformed-call';
  if (turn.calls.length === 0) return 'answer';
  if (row.calls.length + turn.calls.length > limits.calls) return 'call-limit';
  return row.turns >= limits.turns ? 'turn-limit' : null;
}

/** Stands for a rejected call: the tool itself is broken, so the trajectory cannot be judged. */
const brokenTool: ToolResult & { broken?: true } = { status: 'error', output: '', milliseconds: 0, broken: true };

/** Lets the answers in that are due at this run, or all of them where nothing else is left to do. */
async function joinTools(context: Context, rows: Row[], run: number): Promise<void> {
  const idle = rows.every((row) => row.waiting !== null);
  for (const row of rows) {
    if (row.waiting === null || (row.waiting.joinAt > run && !idle)) continue;
    const results = await row.waiting.results;
    row.waiting = null;
    appendResults(context, row, results);
  }
}

function appendResults(context: Context, row: Row, results: readonly (ToolResult | null)[]): void {
  const { limits, clock } = context.settings;
  const calls = row.calls.slice(-results.length);
  for (const [i, call] of calls.entries()) {
    const result = results[i];
    if (result === brokenTool) {
      call.status = 'error';
      row.ended = 'tool-broken';
      return;
    }
    call.status = result?.status ?? 'unknown-tool';
    call.output = row.format.cutText(
      result?.output ?? `error: no tool ${call.name}; tools: ${row.problem.tools.join(', ')}`,
      limits.resultTokens,
    );
    call.milliseconds = result?.milliseconds ?? 0;
    if (result === null) call.price = 0;
  }
  const suffix = row.format.toolSuffix(calls.map((call) => ({ name: call.name, content: call.output })));
  const start = row.tokens.length;
  if (start + suffix.length + 1 > limits.tokens) {
    row.ended = 'token-limit';
    return;
  }
  if (clock() - row.startedAt > limits.seconds * 1000) {
    row.ended = 'time-limit';
    return;
  }
  for (const call of calls) call.resultStart = start;
  row.tokens.push(...suffix);
  row.pending.push(...suffix);
  row.segments.push({ kind: 'tool', start, end: row.tokens.length });
  row.turnStart = row.tokens.length;
  row.turns++;
}

/** Takes ended rows out; the last row of the batch moves into the gap. */
function removeEnded(rows: Row[], cache: Cache): void {
  for (let slot = rows.length - 1; slot >= 0; slot--) {
    if (rows[slot].ended === null) continue;
    const last = rows.length - 1;
    if (slot !== last) {
      rows[slot] = rows[last];
      cache.move(last, slot);
    }
    rows.pop();
  }
}

function finish(row: Row, settings: RolloutSettings): Trajectory {
  assert(row.ended !== null, 'a trajectory left the batch before its end');
  const answered = row.ended === 'answer';
  return {
    problemId: row.problem.id,
    sample: row.sample,
    tokens: row.tokens,
    segments: row.segments,
    sampledLogprobs: row.logprobs,
    toolCalls: row.calls,
    stopReason: row.ended,
    answer: answered ? row.answer : '',
    weightsVersion: settings.weightsVersion,
  };
}
