/**
 * What the window, and the command line, are answered: plain records that the store's readers and the engine's commands make.
 * Not here: the calls themselves and the feed, which are window-api.ts. No record holds a path: a file or folder is a
 * handle, `handle:ID/NAME`, that main maps to a path; what stands after the slash is for people to read.
 */
import type { McpServerRow, McpToolRow } from './mcp.ts';
import type {
  ChatMessage,
  Json,
  PolicyPoint,
  Problem,
  ScoredTrajectory,
  StepMetrics,
  StopReason,
  ToolResult,
} from './records.ts';
import type { RunConfig } from './run-config.ts';
import type { CheckpointRecord, RunFacts, RunStatus } from './run-events.ts';

/** A file or folder that the user picked or dropped, or that a run names. */
export type Handle = `handle:${string}`;

/** What a dialog or a drop answers. */
export type Picked = { handle: Handle; name: string; isFolder: boolean };

/** A run in a list. */
export type RunListing = {
  runId: string;
  status: RunStatus;
  /** why it ended; empty while it runs */
  reason: string;
  startedAtMs: number;
  changedAtMs: number;
  /** the last step that counts, 0 before the first */
  step: number;
  plannedSteps: number;
  method: string;
  model: string;
  tasks: string[];
};

/** A row of the runs table, with the user's own words. */
export type RunRow = RunListing & { tags: string[]; note: string };

/** `key` counts the events of the database; `supersededBy` is the later attempt that replaced this row, or null. */
export type Standing = { key: number; attempt: number; supersededBy: number | null; atMs: number };

/** A policy point without its breakdown, the hypervolume of all up to it, and whether weights were kept for it. */
export type SummaryPoint = Omit<PolicyPoint, 'breakdown'> & {
  hypervolume: number;
  checkpoint: boolean;
  onFrontier: boolean;
};
export type BeforeAfter<T> = { before: T; after: T };

/** What a run came to; `points` are those of the selection split in order. */
export type Summary = RunListing & {
  seed: number;
  objectives: string[];
  prices: Record<string, number>;
  costLimit: number;
  referencePrice: number;
  /** of all steps that count; evaluations are not in it */
  stepSeconds: number;
  tokensPerSecond: number | null;
  /** of the policy points on the selection split: the start alone, and all so far */
  hypervolume: BeforeAfter<number> | null;
  /** first and last policy on the report split, which decided nothing; null before both are measured */
  report: BeforeAfter<SummaryPoint> | null;
  reportGreedy: BeforeAfter<SummaryPoint> | null;
  /** the same on the selection split: the latest news of a running run */
  selection: BeforeAfter<SummaryPoint> | null;
  points: SummaryPoint[];
};

/** One run whole, without its rows. The start and every resume is an attempt. */
export type RunDetail = {
  summary: Summary;
  config: RunConfig;
  facts: RunFacts;
  attempts: { attempt: number; fromStep: number; startedAtMs: number }[];
  priceChanges: PriceRow[];
  /** what its newest trajectories called, by name; also tools that do not exist */
  tools: string[];
  artifacts: { step: number; kind: string; path: Handle; bytes: number; details: Json }[];
  tags: string[];
  note: string;
};

/** What the trajectories of a run add up to. */
export type RunStatistics = {
  problems: number;
  trajectories: number;
  successes: number;
  ungraded: number;
  supersededTrajectories: number;
  /** summed price of all tool calls that count */
  cost: number;
  stopReasons: Record<string, number>;
  /** `statuses`: calls by how they ended; many that are not `ok` mean a broken tool or a model that cannot use it */
  tools: { name: string; calls: number; price: number; meanMs: number; statuses: Record<string, number> }[];
};

export type EvaluationRow = Standing & {
  point: PolicyPoint;
  hypervolume: number;
  /** on the frontier when it was measured */
  onFrontier: boolean;
  /** the checkpoint of the same weights, null where none was kept */
  checkpoint: CheckpointRecord | null;
};

export type StepRow = Standing & { step: number; metrics: StepMetrics };
export type CheckpointRow = Standing & { checkpoint: CheckpointRecord; dropped: boolean };
export type NoticeRow = Standing & { step: number; level: 'info' | 'warning'; code: string; message: string };
export type PriceRow = Standing & { step: number; prices: Record<string, number> };

export type TrajectoryRow = {
  /** names the trajectory within the database */
  key: number;
  step: number;
  attempt: number;
  superseded: boolean;
  problemId: string;
  task: string;
  sample: number;
  prompt: string;
  answer: string;
  success: boolean | null;
  calls: number;
  cost: number;
  advantage: number;
  /** in the order of the run's objectives */
  rewards: number[];
  paretoRank: number;
  stopReason: StopReason;
};

/** `next` is what to pass as `after` for the following page; null on the last. */
export type TrajectoryPage = { rows: TrajectoryRow[]; next: number | null };

/** A group: one problem of one step and what its `size` trajectories came to; `calls` and `cost` are means. */
export type GroupRow = {
  key: number;
  step: number;
  problemId: string;
  task: string;
  prompt: string;
  size: number;
  right: number;
  ungraded: number;
  calls: number;
  cost: number;
  cheapest: number;
  dearest: number;
};
export type GroupPage = { rows: GroupRow[]; next: number | null };

/** One of the same problem and step, as the plot of the group shows it. `key` opens it. */
export type GroupMember = Pick<
  TrajectoryRow,
  'key' | 'sample' | 'success' | 'cost' | 'calls' | 'paretoRank' | 'advantage' | 'rewards'
>;

/** A trajectory with its text, token by token, and its group; `objectives` names the entries of `rewards`. */
export type TrajectoryDetail = {
  key: number;
  runId: string;
  step: number;
  attempt: number;
  superseded: boolean;
  problem: Problem;
  trajectory: ScoredTrajectory;
  objectives: string[];
  /** [T] the text of each token, together the whole text; null where the model that could decode is gone */
  tokenTexts: string[] | null;
  group: GroupMember[];
};

/** Steps `fromStep` to `step` under the prices they were sampled with (`costBefore`) and the new ones (`cost`). */
export type RescoredPoint = Omit<PolicyPoint, 'breakdown'> & {
  fromStep: number;
  costBefore: number;
  onFrontier: boolean;
};
export type Rescored = {
  runId: string;
  prices: Record<string, number>;
  costLimit: number;
  hypervolume: number;
  points: RescoredPoint[];
};

export type Evaluation = {
  run: string | null;
  step: number | null;
  model: string;
  seconds: number;
  points: PolicyPoint[];
  /** what is missing in the points, in words */
  warnings: string[];
};

/** `messages` is what the conversation goes on with: assistant and tool messages. */
export type ChatAnswer = {
  messages: ChatMessage[];
  answer: string;
  stopReason: StopReason;
  cost: number;
  tokens: number;
  seconds: number;
};

/** A tool call of answer number `answer` while that is under way; `result` is null until the tool has answered. */
export type ChatStep = {
  answer: number;
  call: number;
  name: string;
  arguments: Record<string, Json>;
  result: ToolResult | null;
};

export type Exported = {
  folder: Handle;
  bytes: number;
  /** what the card speaks of, measured before the export */
  point: PolicyPoint;
  variants: { variant: string; success: number; cost: number }[];
};

export type ToolDescription = {
  name: string;
  description: string;
  parameters: {
    type: 'object';
    properties: Record<string, { [key: string]: Json }>;
    required: string[];
    [key: string]: Json;
  };
  primaryArgument: string;
};
export type ToolHealth = { name: string; ok: boolean; message: string; milliseconds: number };
/** A tool of an MCP server, `mcp:SERVER/TOOL`, and what the user allowed. */
export type OwnTool = McpToolRow;
/** An MCP server of the user's own. `reached` is the whole command or the address, for people to read (the home folder is `~`). */
export type OwnServer = Pick<McpServerRow, 'name' | 'reached' | 'tools'> & {
  kind: McpServerRow['server']['kind'];
  /** names of the environment variables that it gets */
  env: string[];
};
export type ToolTrial = { status: string; output: string; milliseconds: number };

/** A model as the list and the import's report show it. `name` is what a run configuration calls it. */
export type ModelRow = {
  name: string;
  /** `file` is a GGUF file: it is imported before a run can name it */
  origin: 'bundled' | 'imported' | 'folder' | 'file';
  family: string;
  parameters: number;
  vocabulary: number;
  contextLength: number;
  toolSyntax: string;
  bytes: number;
  /** what its copy in the library takes: more where quantized weights become 32-bit floats */
  importedBytes: number;
  /** what tuning an adapter with the default settings takes; null where it cannot be opened */
  memory: Pick<Estimate['memory'], 'needed' | 'available' | 'verdict'> | null;
  /** empty, or why it cannot be opened: the numbers are 0 then */
  problem: string;
  /** what to know before it is used, in sentences */
  notes: string[];
};

export type TaskRow = { name: string; tools: string[]; hasCorpus: boolean };

/** What a task file holds; `errors` name their lines, `hint` what lines may hold, `problems` are the first few. */
export type TaskPreview = TaskRow & {
  counts: { train: number; selection: number; report: number };
  /** rows that repeat the question of an earlier one, and are left out */
  repeats: number;
  problems: Problem[];
  errors: string[];
  hint: string;
};

/**
 * What a file holds for the form of a new run. `config` has all defaults filled in, model and tasks only where the file names
 * them; null where `complaints` say what is wrong, each with its line (from 1; null where no line is to blame). `given` are the
 * dotted names of what the file sets. A file that is not `isSettings` may be one of tasks.
 */
export type SettingsReading = {
  isSettings: boolean;
  config: (Omit<RunConfig, 'model' | 'tasks'> & Partial<Pick<RunConfig, 'model' | 'tasks'>>) | null;
  given: string[];
  complaints: { line: number | null; message: string }[];
};

/** `tight` is above 70 % of the memory there is, `exceeds` above all of it. Bytes. */
export type Estimate = {
  memory: {
    needed: number;
    available: number;
    verdict: 'fits' | 'tight' | 'exceeds';
    parts: { name: string; bytes: number }[];
  };
  /** seconds; null until something was measured on this machine. `basis` says what it was measured on. */
  time: { secondsPerStep: number; seconds: number; basis: string } | null;
};

/** A run could start. `tools` answered their canary calls; `gate`: the CPU is the reference; others are compared with it when the run starts. */
export type Ready = {
  tools: string[];
  provider: { name: string; runtime: string; threads: number; gate: 'reference' | 'at-start' };
};

export type DoctorCheck = { name: string; state: 'ok' | 'warning' | 'failed'; message: string; hint: string };

/** What the application remembers for the user. `kept` is the window's own: drafts, columns, closed notes. */
export type Settings = {
  theme: 'system' | 'light' | 'dark';
  /** where all data lies, for people to read (the home folder is `~`) */
  dataFolder: string;
  /** an environment variable names it: it cannot be moved from here */
  dataFolderFixed: boolean;
  version: string;
  platform: string;
  kept: Record<string, Json>;
};
