/**
 * What the whole window knows: the engine's state, the active run, the list of runs, the run that is open, settings, and
 * the messages that are shown for a while. Feeds are gathered and taken in 20 times a second, so that an engine that tells
 * much never holds up the window. Not here: what a view alone needs.
 */
import type {
  ActiveRun,
  CallProgress,
  DoctorCheck,
  ChatStep,
  EngineState,
  ErrorRecord,
  Feed,
  MenuCommand,
  Picked,
  RunRow,
  Settings,
  SettingsReading,
} from '../src-main/contract/window-api.ts';
import type { RunConfig } from '../src-main/contract/run-config.ts';
import type { RunEvent } from '../src-main/contract/run-events.ts';
import { asErrorRecord, call } from './bridge.ts';
import { type RunView, viewOfStart, viewOfStored, viewOfSummary, withEvents } from './runs/run-view.ts';
import type { Draft } from './runs/draft.ts';
import { type Toast, withToast } from './ui/toasts.ts';
import type { History } from './ui/undo.ts';
import { words } from './words.ts';

export type ViewName = keyof typeof words.views;

/** A file that settings were read from: what it sets, or what is wrong with it. */
export type SettingsOrigin = { name: string } & Pick<SettingsReading, 'given' | 'complaints'>;

type Handlers = Partial<Record<MenuCommand, () => void>>;
/** Something on the screen that can be saved as a file. */
export type Savable = { node: HTMLElement; save: () => void };

const gatherMs = 50;
const toastMs = 8000;

class Session {
  view = $state<ViewName>('runs');
  engine = $state.raw<EngineState>({ state: 'starting' });
  active = $state.raw<ActiveRun | null>(null);
  /** of the long call that reported last */
  progress = $state.raw<Record<string, CallProgress | undefined>>({});
  runs = $state.raw<RunRow[] | null>(null);
  runsError = $state.raw<ErrorRecord | null>(null);
  settings = $state.raw<Settings | null>(null);
  /** what the checks of this machine found, and when */
  doctor = $state.raw<{ checks: DoctorCheck[]; atMs: number } | null>(null);
  /** the data folder is being moved, whichever view is open */
  moving = $state(false);
  /** the run that is open in the view of runs */
  open = $state<string | null>(null);
  run = $state.raw<RunView | null>(null);
  runError = $state.raw<ErrorRecord | null>(null);
  /** the form for a new run, with the settings it begins with (model or tasks alone go on top of the draft) and their file */
  form = $state.raw<{ from: Partial<RunConfig> | null; file: SettingsOrigin | null } | null>(null);
  /** what was typed into the form, with what can be undone */
  draft: History<Draft> | null = null;
  /** what was dropped on the window, until its view has taken it */
  drop = $state.raw<{ view: ViewName; picked: Picked } | null>(null);
  toasts = $state.raw<Toast[]>([]);
  /** charts and tables that are on the screen, for the commands that save one */
  readonly charts = new Set<Savable>();
  readonly tables = new Set<Savable>();
  /** counts up when models or tasks may have changed */
  modelsVersion = $state(0);
  /** counts up when servers, their tools or approvals may have changed */
  toolsVersion = $state(0);

  /** a run that is being read, and what the feed told of it meanwhile */
  #reading: { runId: string; events: RunEvent[] } | null = null;
  #sequence = -1;
  #pending: Feed[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #nextToast = 1;
  #handlers: Handlers[] = [];
  #menu: (command: MenuCommand) => void = () => {};
  #chat: (step: ChatStep) => void = () => {};

  /** Listens from now on and reads what there is. */
  connect(): void {
    window.paretune.onFeed((feed) => {
      this.#pending.push(feed);
      this.#timer ??= setTimeout(() => this.#takeIn(), gatherMs);
    });
    void this.resync();
    void this.loadSettings();
  }

  /** What a view in front can do, by command, until the function that is returned is called; the latest goes first. */
  offer(handlers: Handlers): () => void {
    this.#handlers = [handlers, ...this.#handlers];
    return () => {
      this.#handlers = this.#handlers.filter((other) => other !== handlers);
    };
  }

  handlerOf(command: MenuCommand): (() => void) | undefined {
    return this.#handlers.find((handlers) => handlers[command])?.[command];
  }

  onMenu(listener: (command: MenuCommand) => void): void {
    this.#menu = listener;
  }

  /** Hears the tool calls of answers under way, until the function that is returned is called. */
  onChat(listener: (step: ChatStep) => void): () => void {
    this.#chat = listener;
    return () => {
      if (this.#chat === listener) this.#chat = () => {};
    };
  }

  /** Where the feed stands, and everything that is shown read again. */
  async resync(): Promise<void> {
    try {
      const { sequence, engine, active } = await call('snapshot', {});
      this.#sequence = Math.max(this.#sequence, sequence);
      this.engine = engine;
      this.active = active;
    } catch (error) {
      this.fail(error);
    }
    await this.loadRuns();
    if (this.open !== null) await this.loadRun(this.open);
  }

  #takeIn(): void {
    this.#timer = undefined;
    const feeds = this.#pending;
    this.#pending = [];
    let { run, active, engine, progress } = this;
    const told: RunEvent[] = [];
    let gap = false;
    for (const feed of feeds) {
      if (this.#sequence >= 0 && feed.sequence > this.#sequence + 1) gap = true;
      this.#sequence = Math.max(this.#sequence, feed.sequence);
      if (feed.kind === 'engine') engine = feed.engine;
      else if (feed.kind === 'active') active = feed.active;
      else if (feed.kind === 'progress') progress = { ...progress, [feed.name]: feed.progress };
      else if (feed.kind === 'snapshot-needed') gap = true;
      else if (feed.kind === 'menu') this.#menu(feed.command);
      else if (feed.kind === 'chat') this.#chat(feed.step);
      else if (feed.kind === 'changed') this.#changed(feed.what);
      else if (feed.kind === 'event') {
        const { event } = feed;
        if (event.kind === 'started' || event.kind === 'ended' || event.kind === 'resumed') void this.loadRuns();
        if (event.runId === this.open) told.push(event);
      }
    }
    if (this.#reading?.runId === this.open) this.#reading?.events.push(...told);
    const start = run === null ? told.find((event) => event.kind === 'started') : undefined;
    if (start) run = viewOfStart(start);
    if (run !== null && told.length > 0) run = withEvents(run, told);
    this.run = run;
    this.active = active;
    this.engine = engine;
    this.progress = progress;
    if (gap) void this.resync();
  }

  #changed(what: 'runs' | 'models' | 'tools' | 'settings'): void {
    if (what === 'runs') void this.loadRuns();
    else if (what === 'models') this.modelsVersion++;
    else if (what === 'tools') this.toolsVersion++;
    else void this.loadSettings();
  }

  async loadRuns(): Promise<void> {
    try {
      this.runs = (await call('runs', {})).runs;
      this.runsError = null;
    } catch (error) {
      this.runsError = asErrorRecord(error);
    }
  }

  async loadSettings(): Promise<void> {
    try {
      this.settings = await call('settings', {});
      applyTheme(this.settings.theme);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Remembers something for the user, here and in the application. */
  keep(name: string, value: Settings['kept'][string]): void {
    if (this.settings !== null) this.settings = { ...this.settings, kept: { ...this.settings.kept, [name]: value } };
    call('keep', { name, value }).catch((error) => this.fail(error));
  }

  /** what prices are in, as the user calls it; empty where nobody said */
  get unit(): string {
    const unit = this.settings?.kept.unit;
    return typeof unit === 'string' ? unit : '';
  }

  setTheme(theme: Settings['theme']): void {
    if (this.settings !== null) this.settings = { ...this.settings, theme };
    applyTheme(theme);
    call('setTheme', { theme }).catch((error) => this.fail(error));
  }

  show(view: ViewName): void {
    this.view = view;
    if (view === 'runs') this.form = null;
  }

  openRun(runId: string): void {
    this.view = 'runs';
    this.form = null;
    if (this.open === runId && this.run !== null) return;
    this.open = runId;
    this.run = null;
    this.runError = null;
    void this.loadRun(runId);
  }

  closeRun(): void {
    this.open = null;
    this.run = null;
    this.runError = null;
  }

  newRun(from: Partial<RunConfig> | null = null, file: SettingsOrigin | null = null): void {
    this.view = 'runs';
    this.form = { from, file };
  }

  /** Reads a run: shown as soon as its summary is here, whole when its rows are, page by page. */
  async loadRun(runId: string): Promise<void> {
    const reading = { runId, events: [] };
    this.#reading = reading;
    const current = () => this.open === runId && this.#reading === reading;
    try {
      const detail = await call('run', { run: runId });
      if (!current()) return;
      this.run ??= withEvents(viewOfSummary(detail), reading.events);
      this.runError = null;
      const { rows: notices } = await call('notices', { run: runId });
      const evaluations = await allPages((after) => call('evaluations', { run: runId, after }), current);
      const steps = await allPages((after) => call('steps', { run: runId, after }), current);
      if (!current()) return;
      this.run = withEvents(viewOfStored({ detail, evaluations, steps, notices }), reading.events);
      this.#reading = null;
    } catch (error) {
      if (!current()) return;
      this.#reading = null;
      const record = asErrorRecord(error);
      // a run that has just been asked for is not stored before its first event
      if (!(record.code === 'not-found' && this.active?.runId === runId)) this.runError = record;
    }
  }

  /** Deletes a run; for a while it can be brought back. */
  async removeRun(runId: string): Promise<void> {
    try {
      const { undoSeconds } = await call('deleteRun', { run: runId });
      this.runs = this.runs?.filter((row) => row.runId !== runId) ?? null;
      if (this.open === runId) this.closeRun();
      const undo = async () => {
        try {
          await call('undoDelete', { run: runId });
          this.tell(words.runs.restored(runId));
        } catch (error) {
          this.fail(error);
        }
        await this.loadRuns();
      };
      this.tell(words.runs.deleted(runId, undoSeconds), {
        ms: undoSeconds * 1000,
        action: { label: words.undo, run: () => void undo() },
      });
    } catch (error) {
      this.fail(error);
    }
  }

  /** What was dropped for a view, once. */
  takeDrop(view: ViewName): Picked | null {
    const { drop } = this;
    if (drop?.view !== view) return null;
    this.drop = null;
    return drop.picked;
  }

  tell(text: string, options: Partial<Omit<Toast, 'id' | 'text'>> & { ms?: number } = {}): void {
    const { ms = toastMs, hint = '', error = false, action } = options;
    const id = this.#nextToast++;
    this.toasts = withToast(this.toasts, { id, text, hint, error, action });
    setTimeout(() => this.dismiss(id), ms);
  }

  dismiss(id: number): void {
    this.toasts = this.toasts.filter((toast) => toast.id !== id);
  }

  /** Does what the last message offers to undo: a message is out of the reach of Tab before it goes. */
  undoLast(): void {
    const toast = this.toasts.findLast(({ action }) => action?.label === words.undo);
    if (toast === undefined) return;
    this.dismiss(toast.id);
    toast.action?.run();
  }

  /** Shows what failed; to be given to `catch`. What the user stopped is no news. */
  fail(error: unknown): void {
    const { code, message, hint } = asErrorRecord(error);
    if (code !== 'interrupted') this.tell(message, { hint, error: true, ms: 20_000 });
  }
}

/** All rows of an answer in pages, as long as somebody wants them. */
async function allPages<Row>(
  page: (after: number) => Promise<{ rows: Row[]; next: number | null }>,
  wanted: () => boolean,
): Promise<Row[]> {
  const pages: Row[][] = [];
  let after: number | null = 0;
  while (after !== null && wanted()) {
    const { rows, next }: { rows: Row[]; next: number | null } = await page(after);
    pages.push(rows);
    after = next;
  }
  return pages.flat();
}

function applyTheme(theme: Settings['theme']): void {
  document.documentElement.dataset.theme = theme;
}

export const session = new Session();
