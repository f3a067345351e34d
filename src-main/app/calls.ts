/**
 * What each call of the window does: questions go to the reading engine, work to the computing one, dialogs and settings
 * are this process's own. Two engine processes, the same program: a view never waits for a run, and a run that dies takes
 * no view with it.
 */
import { existsSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { ParetuneError } from '../contract/errors.ts';
import type { Json } from '../contract/records.ts';
import { type McpServerRow, mcpPrefix } from '../contract/mcp.ts';
import type {
  CallName,
  CallResult,
  ChatStep,
  longCalls,
  OwnServer,
  OwnTool,
  Picked,
  purposes,
  Settings,
  ToolDescription,
} from '../contract/window-api.ts';
import type { RunKeeper } from './active-run.ts';
import { copyData } from './data-folder.ts';
import type { Deletions } from './deletions.ts';
import type { Asked, Lane } from './engine-lane.ts';
import type { FeedSource } from './feed.ts';
import type { Handles } from './handles.ts';
import { ownServerOf, type Question, questionOf } from './own-servers.ts';
import type { CallHandlers } from './relay.ts';
import { helpPages } from './security.ts';
import type { SettingsFile } from './settings-file.ts';
import { appWords } from './words.ts';

type Purpose = (typeof purposes)[number];

/** What the calls need of the system. */
export type Desktop = {
  version: string;
  platform: string;
  homeFolder: string;
  dataFolder(): string;
  /** PARETUNE_HOME says where the data lie: not for the app to change */
  dataFolderFixed: boolean;
  /** a path, or null where the user closed the dialog */
  askFolder(title: string): Promise<string | null>;
  askFile(title: string, endings: string[]): Promise<string | null>;
  askSave(title: string, name: string): Promise<string | null>;
  /** true only where the user chose `yes` */
  confirm(question: Question): Promise<boolean>;
  openExternal(address: string): Promise<void>;
  showItem(path: string): void;
  setTheme(theme: Settings['theme']): void;
};

export type CallContext = {
  computing: Lane;
  reading: Lane;
  runs: RunKeeper;
  deletions: Deletions;
  feed: FeedSource;
  handles: Handles;
  settings: SettingsFile;
  desktop: Desktop;
};

const endings: Partial<Record<Purpose, string[]>> = {
  gguf: ['gguf'],
  task: ['jsonl', 'json'],
  settings: ['yaml', 'yml', 'json'],
  corpus: ['jsonl', 'json', 'txt'],
};

type LongCall = (typeof longCalls)[number];

export function callHandlers(context: CallContext): CallHandlers {
  const { computing, reading, runs, deletions, feed, handles, settings, desktop } = context;
  const underWay = new Map<string, Set<Pick<Asked, 'stop'>>>();
  let moving = false;
  let dialogOpen = false;

  async function read<N extends CallName>(_name: N, command: string, payload: object): Promise<CallResult<N>> {
    return (await reading.ask(command, payload as Json).result) as CallResult<N>;
  }

  /** Work with progress, that `cancel` can end. */
  async function work<N extends LongCall>(
    name: N,
    command: string,
    payload: object,
    lane = computing,
    onItem?: (item: Json) => void,
  ): Promise<CallResult<N>> {
    const asked = lane.ask(command, handles.opened(payload) as Json, {
      onProgress: (progress) => feed.tell({ kind: 'progress', name, progress }),
      onItem,
    });
    return (await cancellable(name, asked, asked.result)) as CallResult<N>;
  }

  /** What `cancel` with this name stops until it is done. */
  async function cancellable<T>(name: LongCall, work: Pick<Asked, 'stop'>, result: Promise<T>): Promise<T> {
    const all = underWay.get(name) ?? new Set();
    underWay.set(name, all.add(work));
    return result.finally(() => all.delete(work));
  }

  /** One dialog at a time: a page cannot bury the user under dialogs. */
  async function alone<T>(ask: () => Promise<T>): Promise<T> {
    if (dialogOpen) throw new ParetuneError('usage', 'A dialog is open already.');
    dialogOpen = true;
    try {
      return await ask();
    } finally {
      dialogOpen = false;
    }
  }

  const dialog = (ask: () => Promise<string | null>): Promise<Picked | null> =>
    alone(async () => {
      const path = await ask();
      return path === null ? null : picked(handles, path);
    });

  /** Nothing else reads or writes the data meanwhile; whatever ends it, the app goes on with a whole folder. */
  async function move(to: string, signal: AbortSignal): Promise<CallResult<'moveData'>> {
    if (moving) throw underMove();
    moving = true;
    try {
      await deletions.finish();
      await Promise.all([computing.end(5000), reading.end(5000)]);
      const folder = await copyData(desktop.dataFolder(), to, {
        signal,
        progress: (progress) => feed.tell({ kind: 'progress', name: 'moveData', progress }),
        willWrite: (unfinishedMove) => settings.set({ unfinishedMove }),
      });
      settings.set({ dataFolder: folder, unfinishedMove: null });
      // what was begun meanwhile is of the old folder
      await Promise.all([computing.end(0), reading.end(0)]);
    } finally {
      if (settings.get().unfinishedMove !== null) settings.set({ unfinishedMove: null });
      moving = false;
      computing.wake();
      for (const what of ['settings', 'runs', 'models', 'tools'] as const) feed.tell({ kind: 'changed', what });
    }
    return { dataFolder: shown(desktop.dataFolder()) };
  }

  const shown = (path: string) => path.split(desktop.homeFolder).join('~');

  /** Asks the reading engine, which has time while a run computes, and which alone changes the record of servers. */
  async function server(name: 'addServer' | 'lookServer', command: string, payload: object): Promise<OwnServer> {
    const asked = reading.ask(command, payload as Json, {
      onProgress: (progress) => feed.tell({ kind: 'progress', name, progress }),
    });
    const row = (await cancellable(name, asked, asked.result)) as McpServerRow;
    feed.tell({ kind: 'changed', what: 'tools' });
    return ownServerOf(row, shown);
  }

  async function changeTools(command: string, payload: object): Promise<Json> {
    const result = await reading.ask(command, payload as Json).result;
    feed.tell({ kind: 'changed', what: 'tools' });
    return result;
  }

  const answers: CallHandlers = {
    snapshot: async () => feed.snapshot(),

    async runs() {
      const { runs: rows } = await read('runs', 'window-runs', {});
      return { runs: rows.filter(({ runId }) => !deletions.pending(runId)) };
    },
    run: (payload) => read('run', 'window-run', payload),
    statistics: (payload) => read('statistics', 'window-statistics', payload),
    evaluations: (payload) => read('evaluations', 'window-rows', { ...payload, kind: 'evaluations' }),
    steps: (payload) => read('steps', 'window-rows', { ...payload, kind: 'steps' }),
    notices: (payload) => read('notices', 'window-rows', { ...payload, kind: 'notices' }),
    trajectories: (payload) => read('trajectories', 'window-trajectories', payload),
    groups: (payload) => read('groups', 'window-groups', payload),
    trajectory: (payload) => read('trajectory', 'window-trajectory', payload),
    rescore: (payload) => work('rescore', 'rescore', payload, reading),
    async annotate(payload) {
      await read('annotate', 'window-annotate', payload);
      return null;
    },
    async deleteRun({ run }) {
      if (runs.active()?.runId === run && runs.busy()) {
        throw new ParetuneError('usage', `The run ${run} is active.`, { hint: 'Stop it first.' });
      }
      return { undoSeconds: deletions.mark(run) };
    },
    async undoDelete({ run }) {
      deletions.undo(run);
      return null;
    },

    tune: (payload) => runs.begin('tune', handles.opened(payload) as Json),
    async resume({ run }) {
      const { summary } = await read('run', 'window-run', { run });
      return runs.begin('resume', { run }, summary.plannedSteps);
    },
    async pause() {
      runs.pause();
      return null;
    },
    async stop() {
      runs.stop();
      return null;
    },
    async setPrices({ prices }) {
      await runs.setPrices(prices);
      return null;
    },
    async cancel({ name }) {
      if (name === 'tune' || name === 'resume') runs.stop();
      for (const asked of underWay.get(name) ?? []) asked.stop();
      return null;
    },

    async export({ to, run, checkpoint, ...rest }) {
      const folder = join(handles.path(to), `${run}-${checkpoint.replace(/[^\w.-]/g, '-')}`);
      return work('export', 'export', { ...rest, run, checkpoint, to: folder });
    },
    eval: (payload) => work('eval', 'eval', payload),
    chat({ task, ...payload }) {
      // a name, or the handle of a file: the field cannot tell
      const asked = { ...payload, task: task.startsWith('handle:') ? handles.path(task) : task };
      return work('chat', 'chat', asked, computing, (step) => feed.tell({ kind: 'chat', step: step as ChatStep }));
    },
    async tools() {
      const { tools, servers } = (await reading.ask('tools-list', {}).result) as {
        tools: ToolDescription[];
        servers: McpServerRow[];
      };
      return { tools, servers: servers.map((row) => ownServerOf(row, shown)) };
    },
    checkTools: (payload) => work('checkTools', 'tools-check', payload),
    // those of servers need no computing: a try does not wait for a run
    tryTool: (payload) =>
      work('tryTool', 'tools-try', payload, payload.name.startsWith(mcpPrefix) ? reading : computing),
    async addServer(payload) {
      const allowed = await alone(() => desktop.confirm(questionOf(payload.name, payload.server)));
      if (moving) throw underMove(); // begun while the dialog stood
      return allowed ? server('addServer', 'tools-add', payload) : null;
    },
    lookServer: (payload) => server('lookServer', 'tools-look', payload),
    async removeServer(payload) {
      await changeTools('tools-remove', payload);
      return null;
    },
    approveTool: async (payload) => (await changeTools('tools-approve', payload)) as OwnTool,
    async revokeTool(payload) {
      await changeTools('tools-revoke', payload);
      return null;
    },
    models: () => read('models', 'window-models', {}),
    inspectModel: (payload) => read('inspectModel', 'window-inspect', handles.opened(payload)),
    async importModel(payload) {
      const { name } = await work('importModel', 'import', payload);
      feed.tell({ kind: 'changed', what: 'models' });
      return { name };
    },
    tasks: () => read('tasks', 'window-tasks', {}),
    previewTask: (payload) => work('previewTask', 'window-preview', payload, reading),
    readSettings: (payload) => read('readSettings', 'window-settings', handles.opened(payload)),
    estimate: (payload) => work('estimate', 'window-estimate', payload),
    ready: (payload) => work('ready', 'window-ready', payload, reading),
    doctor: () => work('doctor', 'doctor', {}),

    async settings() {
      const { theme, kept } = settings.get();
      const { version, platform } = desktop;
      const { dataFolderFixed } = desktop;
      return { theme, kept, version, platform, dataFolderFixed, dataFolder: shown(desktop.dataFolder()) };
    },
    async setTheme({ theme }) {
      settings.set({ theme });
      desktop.setTheme(theme);
      return null;
    },
    async keep({ name, value }) {
      settings.keep(name, value);
      return null;
    },
    pickFolder: ({ purpose }) => dialog(() => desktop.askFolder(appWords.dialogs[purpose])),
    pickFile: ({ purpose }) => dialog(() => desktop.askFile(appWords.dialogs[purpose], endings[purpose] ?? [])),
    saveFile: ({ name, data }) =>
      dialog(async () => {
        const path = await desktop.askSave(appWords.dialogs.save, name);
        if (path !== null) writeFileSync(outside(desktop.dataFolder(), path), data);
        return path;
      }),
    async showInFolder({ handle }) {
      desktop.showItem(handles.path(handle));
      return null;
    },
    async openHelp({ id }) {
      await desktop.openExternal(helpPages[id]);
      return null;
    },
    async moveData({ to }) {
      if (desktop.dataFolderFixed) {
        throw new ParetuneError('usage', 'The data folder is the one that PARETUNE_HOME names.', {
          hint: 'Copy it by hand and change that variable, or start Paretune without it.',
        });
      }
      const { runs: rows } = await read('runs', 'window-runs', {});
      if (runs.busy() || rows.some(({ status }) => status === 'running')) {
        throw new ParetuneError('usage', 'A run is active.', { hint: 'Pause or stop it, then move the data.' });
      }
      const stopping = new AbortController();
      return cancellable('moveData', { stop: () => stopping.abort() }, move(handles.path(to), stopping.signal));
    },
    async restartEngine() {
      if (runs.busy()) throw new ParetuneError('usage', 'A run is active.', { hint: 'Stop it first.' });
      await computing.end(2000);
      feed.tell({ kind: 'engine', engine: { state: 'starting' } });
      computing.wake();
      return null;
    },
  };
  return refusedWhile(() => moving, answers);
}

/** What asks nothing of the data is answered during a move too. */
const apart: readonly string[] = [
  'snapshot',
  'settings',
  'setTheme',
  'keep',
  'cancel',
  'saveFile',
  'openHelp',
  'moveData',
];

function refusedWhile(moving: () => boolean, handlers: CallHandlers): CallHandlers {
  const guarded = Object.entries(handlers).map(([name, answer]) => {
    const guard = async (payload: never) => {
      if (moving()) throw underMove();
      return (answer as (payload: never) => Promise<unknown>)(payload);
    };
    return [name, apart.includes(name) ? answer : guard];
  });
  return Object.fromEntries(guarded) as CallHandlers;
}

/** A path that is not within the data folder: what runs, and what may run, is not for a page to write. */
function outside(dataFolder: string, path: string): string {
  // links followed, and on a disk that does not tell case apart, the names as they are stored
  const real = (folder: string) => (existsSync(folder) ? realpathSync.native(folder) : folder);
  const way = relative(real(dataFolder), join(real(dirname(path)), basename(path)));
  if (way.startsWith('..') || isAbsolute(way)) return path;
  throw new ParetuneError('usage', 'Nothing is saved into the data folder: it is for Paretune alone.', {
    hint: 'Choose another folder.',
  });
}

function underMove(): ParetuneError {
  return new ParetuneError('usage', 'The data folder is being moved.', { hint: 'Wait, or cancel it in Device.' });
}

/** A path as the window knows it. Error `not-found` where nothing is there. */
export function picked(handles: Handles, path: string): Picked {
  try {
    return { handle: handles.give(path), name: basename(path), isFolder: statSync(path).isDirectory() };
  } catch (cause) {
    throw new ParetuneError('not-found', `There is nothing at ${path}.`, { cause, hint: 'Choose it again.' });
  }
}

/** What was dropped: a file of a model stands for its folder, which is what can be imported. */
export function dropped(handles: Handles, path: string): Picked {
  const ofModel = /(\.safetensors|\.safetensors\.index\.json|(^|[\\/])(config|tokenizer|tokenizer_config)\.json)$/i;
  return picked(handles, ofModel.test(path) ? dirname(path) : path);
}
