/**
 * All that the window may ask and all that it is told. The preload exposes `WindowApi` as `window.paretune`; main checks
 * every payload against `calls` and every sender, answers some calls itself and hands the rest to the engine. Not here: how
 * a message travels (app/), what a record means (window-records.ts, records.ts, run-events.ts).
 *
 * A failed call rejects with an ErrorRecord ({code, message, hint}), a plain object. Long calls (`longCalls`) report with
 * feeds of kind `progress` and can be ended with `cancel`.
 */
import { z } from 'zod';
import { mcpApprovalSchema, mcpServerName, mcpServerSchema, mcpToolName } from './mcp.ts';
import type { Json } from './records.ts';
import { runConfigSchema } from './run-config.ts';
import type { RunEvent } from './run-events.ts';
import type * as r from './window-records.ts';

export type * from './window-records.ts';
export type { ErrorRecord } from './errors.ts';

export const handleSchema = z.templateLiteral([
  'handle:',
  z.string().min(1).max(300),
]) as unknown as z.ZodType<r.Handle>;

const run = z.string().min(1).max(64);
const text = z.string().max(1_000_000);
const key = z.int().min(0);
const prices = z.record(z.string().max(200), z.number().min(0).max(1e12));
/** rows of one answer: a message that takes the window's thread for a few milliseconds */
const limit = z.int().min(1).max(1000).default(1000);
const checkpoint = z.string().min(1).max(64).default('best');
const json: z.ZodType<Json> = z.json();

/** A name that is no path: `starter:NAME`, `imported:NAME`, a handle; tasks also a built-in name. */
const model = z.union([z.string().regex(/^(starter|imported):[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u), handleSchema]);
const task = z.union([z.string().regex(/^[\p{L}\p{N}][\p{L}\p{N}_-]{0,63}$/u), handleSchema]);
const file = z.union([z.literal(''), handleSchema]);
const taskOptions = z.strictObject({ corpus: file.default(''), report: file.default('') });

/** A run's settings as the window may give them: those of run-config.ts, with handles in place of paths. */
export const windowConfigSchema = z.strictObject({
  ...runConfigSchema.shape,
  model,
  tasks: z.array(task).min(1).max(16),
  taskOptions: taskOptions.prefault({}),
});

const filter = z.strictObject({
  step: key.optional(),
  fromStep: key.optional(),
  toStep: key.optional(),
  problemId: z.string().max(1000).optional(),
  success: z.boolean().nullable().optional(),
  minCalls: key.optional(),
  maxCalls: key.optional(),
  stopReason: z
    .enum(['answer', 'call-limit', 'turn-limit', 'token-limit', 'time-limit', 'malformed-call', 'tool-broken'])
    .optional(),
  tool: z.string().max(200).optional(),
  search: z.string().max(1000).optional(),
  superseded: z.boolean().optional(),
});

const message = z.strictObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: text,
  toolCalls: z
    .array(z.strictObject({ name: z.string(), arguments: z.record(z.string(), json) }))
    .max(1000)
    .optional(),
  name: z.string().optional(),
});

/** Help pages by id: main alone knows the addresses, all compiled in. */
export const helpIds = ['guide', 'paper'] as const;

/** What a file dialog is for; decides title and file types. */
export const purposes = ['model', 'gguf', 'task', 'settings', 'corpus', 'export', 'data'] as const;

/** The payload of every call. */
export const calls = {
  /** where the feed stands: asked at the start and after a gap in its numbers */
  snapshot: z.strictObject({}),

  runs: z.strictObject({}),
  run: z.strictObject({ run }),
  /** what all its trajectories add up to: takes as long as there are many */
  statistics: z.strictObject({ run }),
  /** a page, of rows after this key */
  evaluations: z.strictObject({ run, superseded: z.boolean().default(false), after: key.default(0), limit }),
  /** a page, of steps above `after` */
  steps: z.strictObject({ run, after: key.default(0), limit }),
  trajectories: z.strictObject({
    run,
    filter: filter.prefault({}),
    after: key.optional(),
    limit: z.int().min(1).max(500).default(100),
    order: z.enum(['newest', 'oldest']).default('newest'),
  }),
  /** one row a problem and step, newest first; `step` restricts */
  groups: z.strictObject({
    run,
    step: key.optional(),
    after: key.optional(),
    limit: z.int().min(1).max(500).default(100),
  }),
  trajectory: z.strictObject({ key }),
  rescore: z.strictObject({ run, prices, windows: z.int().min(1).max(1000).default(20) }),
  notices: z.strictObject({ run }),
  annotate: z.strictObject({ run, tags: z.array(z.string().min(1).max(40)).max(20), note: z.string().max(10_000) }),
  /** the run leaves the list at once and the disk for good `undoSeconds` later, or when the app ends */
  deleteRun: z.strictObject({ run }),
  undoDelete: z.strictObject({ run }),

  /** answered when the run has started; how it goes on is told by the feed */
  tune: z.strictObject({ config: windowConfigSchema, name: run.optional() }),
  /** goes on from the last whole checkpoint; also after `pause`, `stop` and the engine's death */
  resume: z.strictObject({ run }),
  /** finishes the step and saves; a paused run counts as active in the window and goes on bit for bit */
  pause: z.strictObject({}),
  stop: z.strictObject({}),
  /** from the next step on; kept in the log */
  setPrices: z.strictObject({ prices }),
  /** ends every running call of this name */
  cancel: z.strictObject({ name: z.string().max(64) }),

  /** into a new folder within the picked one */
  export: z.strictObject({
    run,
    checkpoint,
    to: handleSchema,
    target: z.enum(['genai', 'transformers.js', 'all']).default('all'),
    variants: z
      .array(z.enum(['fp32', 'fp16', 'q4']))
      .min(1)
      .default(['fp32']),
    problems: z.int().min(1).max(100_000).default(500),
  }),
  /** a run at `checkpoint` with its own settings and these on top; without a run, `settings` names model and tasks */
  eval: z.strictObject({
    run: run.optional(),
    checkpoint,
    settings: z
      .strictObject({
        model: model.optional(),
        tasks: z.array(task).min(1).max(16).optional(),
        taskOptions: taskOptions.optional(),
        tools: z.array(z.string().max(200)).max(64).optional(),
        prices: prices.optional(),
      })
      .prefault({}),
    split: z.enum(['selection', 'report']).default('report'),
    problems: z.int().min(1).max(100_000).default(256),
    greedy: z.boolean().default(false),
  }),
  /** one answer; `run` at `checkpoint` with its tools and prices, else `model` as it is */
  chat: z.strictObject({
    run: run.optional(),
    checkpoint,
    model: model.default('starter:over-user'),
    task,
    tools: z.array(z.string()).default([]),
    messages: z.array(message).min(1).max(1000),
    temperature: z.number().min(0).max(10).default(0),
    seed: z.int().min(0).default(0),
    /** tells the tool calls of this answer from those of another */
    answer: key.default(0),
  }),

  tools: z.strictObject({}),
  checkTools: z.strictObject({ names: z.array(z.string()).max(64).default([]), corpus: handleSchema.optional() }),
  tryTool: z.strictObject({ name: z.string(), inputs: z.array(json).min(1).max(100), corpus: handleSchema.optional() }),
  /** asks in a dialog of the system, which shows the whole command; then it is started once. null: the answer was no */
  addServer: z.strictObject({ name: mcpServerName, server: mcpServerSchema }),
  /** asks a server that was added what it offers now */
  lookServer: z.strictObject({ name: mcpServerName }),
  /** forgets a server with all that was approved of it */
  removeServer: z.strictObject({ name: mcpServerName }),
  /** `hash` names the definition that was read: where it is another by now, nothing is approved */
  approveTool: z.strictObject({ ...mcpApprovalSchema.shape, tool: mcpToolName }),
  revokeTool: z.strictObject({ tool: mcpToolName }),
  models: z.strictObject({}),
  /** what a folder holds, before it is imported */
  inspectModel: z.strictObject({ model }),
  importModel: z.strictObject({ folder: handleSchema, name: z.string().max(64).optional() }),
  tasks: z.strictObject({}),
  previewTask: z.strictObject({
    file: handleSchema,
    corpus: file.default(''),
    report: file.default(''),
    limit: z.int().min(1).max(50).default(8),
  }),
  /** settings for the form of a new run */
  readSettings: z.strictObject({ file: handleSchema }),
  estimate: z.strictObject({ config: windowConfigSchema }),
  /** whether a run could start: model, tasks, a canary call of each tool, and the provider */
  ready: z.strictObject({ config: windowConfigSchema }),
  doctor: z.strictObject({}),

  settings: z.strictObject({}),
  setTheme: z.strictObject({ theme: z.enum(['system', 'light', 'dark']) }),
  /** null forgets it */
  keep: z.strictObject({ name: z.string().min(1).max(100), value: json }),
  pickFolder: z.strictObject({ purpose: z.enum(purposes) }),
  pickFile: z.strictObject({ purpose: z.enum(purposes) }),
  /** asks where, then writes: a table or a chart */
  saveFile: z.strictObject({
    name: z.string().regex(/^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,99}\.(csv|svg|png|json)$/u),
    data: z.union([z.string().max(64_000_000), z.instanceof(Uint8Array)]),
  }),
  showInFolder: z.strictObject({ handle: handleSchema }),
  openHelp: z.strictObject({ id: z.enum(helpIds) }),
  /** copies all data into the picked folder, checks the copy, then uses it; refused while a run is active */
  moveData: z.strictObject({ to: handleSchema }),
  restartEngine: z.strictObject({}),
};

export type CallName = keyof typeof calls;

/** What the caller may write: fields with a default can be left out. */
export type CallPayload<N extends CallName> = z.input<(typeof calls)[N]>;
/** What main works with: every field there. */
export type CheckedPayload<N extends CallName> = z.output<(typeof calls)[N]>;

type Results = {
  snapshot: Snapshot;
  runs: { runs: r.RunRow[] };
  run: r.RunDetail;
  statistics: r.RunStatistics;
  /** `next` is what to pass as `after` for the following page; null on the last */
  evaluations: { rows: r.EvaluationRow[]; next: number | null };
  steps: { rows: r.StepRow[]; next: number | null };
  trajectories: r.TrajectoryPage;
  groups: r.GroupPage;
  trajectory: r.TrajectoryDetail;
  rescore: r.Rescored;
  notices: { rows: r.NoticeRow[] };
  annotate: null;
  deleteRun: { undoSeconds: number };
  undoDelete: null;
  tune: { runId: string };
  resume: { runId: string };
  pause: null;
  stop: null;
  setPrices: null;
  cancel: null;
  export: r.Exported;
  eval: r.Evaluation;
  chat: r.ChatAnswer;
  tools: { tools: r.ToolDescription[]; servers: r.OwnServer[] };
  checkTools: { tools: r.ToolHealth[] };
  tryTool: { results: r.ToolTrial[] };
  addServer: r.OwnServer | null;
  lookServer: r.OwnServer;
  removeServer: null;
  approveTool: r.OwnTool;
  revokeTool: null;
  models: { models: r.ModelRow[] };
  inspectModel: r.ModelRow;
  importModel: { name: string };
  tasks: { tasks: r.TaskRow[] };
  previewTask: r.TaskPreview;
  readSettings: r.SettingsReading;
  estimate: r.Estimate;
  ready: r.Ready;
  doctor: { ok: boolean; checks: r.DoctorCheck[] };
  settings: r.Settings;
  setTheme: null;
  keep: null;
  /** null: the user closed the dialog */
  pickFolder: r.Picked | null;
  pickFile: r.Picked | null;
  saveFile: r.Picked | null;
  showInFolder: null;
  openHelp: null;
  moveData: { dataFolder: string };
  restartEngine: null;
};
export type CallResult<N extends CallName> = Results[N];

/** Calls that may take long: they report progress, can be cancelled and have no time limit. */
export const longCalls = [
  'tune',
  'resume',
  'export',
  'eval',
  'chat',
  'rescore',
  'importModel',
  'previewTask',
  'estimate',
  'ready',
  'doctor',
  'checkTools',
  'tryTool',
  'addServer',
  'lookServer',
  'moveData',
] as const satisfies readonly CallName[];

/** How far a long call or the active run has come. `total` 0 means that the end is not known. */
export type CallProgress = { label: string; done: number; total: number; note?: string };

/** `gone` names why, and the run that can be resumed with the step it goes on from (null: from its start). */
export type EngineState =
  | { state: 'starting' }
  | { state: 'ready' }
  | { state: 'silent'; seconds: number }
  | { state: 'gone'; reason: string; hint: string; resume: { runId: string; fromStep: number | null } | null };

/** `pausing` and `stopping` last until the step is done and saved; a paused run is not computed, only remembered. */
export type ActiveRun = {
  runId: string;
  phase: 'starting' | 'running' | 'pausing' | 'paused' | 'stopping';
  step: number;
  plannedSteps: number;
};

/** Numbers of feeds go up by one. After a gap, or `snapshot-needed`, ask for a snapshot and read again what is shown. */
export type Feed = { sequence: number } & (
  | { kind: 'event'; event: RunEvent } // steps without their groups
  | { kind: 'progress'; name: CallName; progress: CallProgress }
  /** a tool call of a chat's answer that is not complete yet */
  | { kind: 'chat'; step: r.ChatStep }
  | { kind: 'engine'; engine: EngineState }
  | { kind: 'active'; active: ActiveRun | null }
  /** runs, models, servers and their tools, or settings changed by something else than this call's answer */
  | { kind: 'changed'; what: 'runs' | 'models' | 'tools' | 'settings' }
  /** a command of the application menu */
  | { kind: 'menu'; command: MenuCommand }
  | { kind: 'snapshot-needed' }
);

export type Snapshot = {
  /** of the last feed sent */
  sequence: number;
  engine: EngineState;
  active: ActiveRun | null;
  progress: CallProgress | null;
};

/** What the menu can ask of the window; keys are in app/menu.ts, and work in the window as well. */
export const menuCommands = [
  'new-run',
  'open-model',
  'open-task',
  'open-settings',
  'add-server',
  'export',
  'save-table',
  'save-chart',
  'undo',
  'redo',
  'find',
  'palette',
  'shortcuts',
  'view-runs',
  'view-models',
  'view-tasks',
  'view-tools',
  'view-compare',
  'view-device',
  'pause-or-resume',
  'stop',
  'previous-step',
  'next-step',
  'play',
  'delete-run',
  'settings',
] as const;
export type MenuCommand = (typeof menuCommands)[number];

/** `window.paretune`. */
export type WindowApi = {
  call<N extends CallName>(name: N, payload: CallPayload<N>): Promise<CallResult<N>>;
  /** Hears every feed from now on; the function that is returned ends it. */
  onFeed(listener: (feed: Feed) => void): () => void;
  /** The handle of a dropped `File` (or folder). */
  dropped(file: unknown): Promise<r.Picked>;
};
