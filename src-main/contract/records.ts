/**
 * The plain records that flow through a training step: problem, trajectory, group, step, evaluation. They are JSON-able,
 * are never mutated after they were made, and hold no behaviour. Every stage of the engine reads and makes only these.
 *
 * Letters: P problems a step, G trajectories a group, M objectives, T tokens. All objectives are maximised. Ranks count
 * from 1 (best), indices and steps from 0 unless said.
 */

export type Split = 'train' | 'selection' | 'report';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** A tool as the chat template and the user see it (JSON Schema parameters, as in the OpenAI and Hermes conventions). */
export type ToolSpec = {
  name: string;
  description: string;
  parameters: {
    type: 'object';
    properties: Record<string, { [key: string]: Json }>;
    required: string[];
    /** whatever else a schema of the user's own says */
    [key: string]: Json;
  };
};

export type ToolCallRequest = { name: string; arguments: Record<string, Json> };

export type ChatMessage = {
  role: 'system' | 'user' | 'assistant' | 'tool';
  content: string;
  /** assistant only */
  toolCalls?: ToolCallRequest[];
  /** tool only: the tool that answered */
  name?: string;
};

/** How an answer is judged. `exact` is SQuAD/HotpotQA exact match after normalization. */
export type Grader =
  | { kind: 'exact' }
  | { kind: 'math' }
  | { kind: 'regex'; pattern: string; flags?: string }
  | { kind: 'json'; fields: string[] }
  | { kind: 'python'; code: string };

/** One thing to solve. `answers` holds every accepted answer. */
export type Problem = {
  /** unique and stable within its task: keys the fewest-calls table and the random numbers */
  id: string;
  task: string;
  split: Split;
  messages: ChatMessage[];
  /** names of the tools the agent may call */
  tools: string[];
  answers: string[];
  grader: Grader;
  /** free labels for breakdowns, e.g. the kind of arithmetic */
  tags: string[];
  /** false where a supervised demonstration held this very problem */
  unseen: boolean;
};

/** How one tool call ended. All but `ok` are told to the model as text too. */
export type ToolStatus = 'ok' | 'error' | 'timeout' | 'memory' | 'output' | 'unknown-tool' | 'bad-arguments' | 'limit';

export type ToolResult = {
  status: Extract<ToolStatus, 'ok' | 'error' | 'timeout' | 'memory' | 'output'>;
  output: string;
  milliseconds: number;
};

/** A tool call inside a trajectory, with what it cost. `price` is in the user's own unit. */
export type ToolCallRecord = {
  name: string;
  arguments: Record<string, Json>;
  /** the text the model read */
  output: string;
  status: ToolStatus;
  price: number;
  milliseconds: number;
  /** index of the first token of the tool segment that answered it, -1 when the trajectory ended before */
  resultStart: number;
};

/** Who put these tokens there: [start, end) into Trajectory.tokens. Loss and statistics count `model` tokens only. */
export type Segment = { kind: 'prompt' | 'model' | 'tool'; start: number; end: number };

/** Why a trajectory ended. */
export type StopReason =
  | 'answer' // the model ended its turn without calling a tool
  | 'call-limit' // one more call than allowed
  | 'turn-limit' // one more turn than allowed
  | 'token-limit' // no room for another token or tool result
  | 'time-limit' // the wall clock ran out: ungraded
  | 'malformed-call' // tool-call markup that cannot be parsed
  | 'tool-broken'; // the tool itself failed (not the call): ungraded

/** The record of one rollout, token for token as it was sampled. */
export type Trajectory = {
  problemId: string;
  /** 0 .. G-1 within the group */
  sample: number;
  tokens: number[];
  segments: Segment[];
  /** log-probability under the sampling policy of every token of a `model` segment, in order (length = sampled tokens) */
  sampledLogprobs: number[];
  toolCalls: ToolCallRecord[];
  stopReason: StopReason;
  /** the text after the last tool result, what is graded */
  answer: string;
  /** the step count of the weights that sampled it */
  weightsVersion: number;
};

/** A trajectory with its grade. `success` is null when it could not be graded (time-out, broken tool): left out of all means. */
export type ScoredTrajectory = Trajectory & {
  success: boolean | null;
  /** summed price of its tool calls, the user's unit */
  cost: number;
  /** [M] all maximised, objective order of the run config */
  rewards: number[];
  /** rank of its front within the group, 1 is best; 0 where the method does not rank */
  paretoRank: number;
  advantage: number;
};

/** All trajectories of one problem in one step. */
export type Group = { problem: Problem; trajectories: ScoredTrajectory[] };

/** Mean numbers of one training step. Times in milliseconds; `null` where a number does not exist for this step. */
export type StepMetrics = {
  loss: number;
  gradNorm: number;
  learningRate: number;
  entropy: number;
  /** mean |log p (trainer) - log p (sampler)| over sampled tokens */
  samplerGap: number;
  kl: number | null;
  clipFraction: number;
  success: number;
  cost: number;
  calls: number;
  sampledTokens: number;
  /** mean sampled tokens a trajectory */
  responseLength: number;
  /** share of groups: some right and some wrong, all right, all wrong, and without any advantage */
  groupsMixed: number;
  groupsAllRight: number;
  groupsAllWrong: number;
  groupsWithoutSpread: number;
  ungraded: number;
  toolFailureShare: number;
  /** what the method reports of itself, e.g. r_pareto, hypervolume gain */
  method: Record<string, number>;
  rolloutMs: number;
  toolMs: number;
  gradeMs: number;
  trainMs: number;
  /** storing the step before this one; whoever stores fills it in */
  logMs: number;
  stepMs: number;
};

/** A policy measured on held-out problems. Intervals are 95 % Wilson (success) and Student (cost). */
export type PolicyPoint = {
  step: number;
  split: Split;
  sampling: 'sampled' | 'greedy';
  n: number;
  success: number;
  successLow: number;
  successHigh: number;
  cost: number;
  costLow: number;
  costHigh: number;
  calls: number;
  responseLength: number;
  /** KL(policy || start) in nats a token, on the evaluated trajectories; null where it was not measured */
  klToStart: number | null;
  /**
   * The same numbers by task (`task:NAME`), by tag (`tag:NAME`) and for what no demonstration held (`unseen`). Of a task
   * also the mean number of priced calls a problem by tool: the cost at other prices follows without a rollout.
   */
  breakdown: Record<string, { n: number; success: number; cost: number; calls?: Record<string, number> }>;
};
