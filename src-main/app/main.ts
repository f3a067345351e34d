/**
 * The desktop app's main process: windows, menus, dialogs, power, and the watch over two engine processes. Nothing heavy
 * runs here. This file only puts Electron's parts into the places that the other files of this folder name; what is
 * decided is decided there, and tested there without Electron.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import {
  app,
  BrowserWindow,
  dialog,
  ipcMain,
  Menu,
  Notification,
  nativeTheme,
  powerSaveBlocker,
  protocol,
  screen,
  session,
  shell,
  utilityProcess,
} from 'electron';
import { readEnvironment } from '../cli/environment.ts';
import type { Feed, Settings } from '../contract/window-api.ts';
import { runKeeper } from './active-run.ts';
import { origin, scheme, serveFolder } from './app-protocol.ts';
import { runAttendant } from './attendant.ts';
import { callHandlers, type Desktop, dropped } from './calls.ts';
import { removeUnfinished } from './data-folder.ts';
import { deletions as makeDeletions } from './deletions.ts';
import { engineLane } from './engine-lane.ts';
import { feedSource } from './feed.ts';
import { makeHandles } from './handles.ts';
import { menuTemplate } from './menu.ts';
import { channels, openDoor } from './relay.ts';
import { helpPages, schemes, secureContents, secureSession, switches, webPreferences } from './security.ts';
import { openSettings } from './settings-file.ts';
import { windowPlace } from './window-place.ts';

/** A step and its checkpoint may take so long; then the engine is ended all the same. */
const quitWaitMs = 30_000;

// before anything else: a second start shows the window of the first
if (!app.requestSingleInstanceLock()) app.exit(0);
// root has no sandbox: containers and continuous integration start with this switch, and it must mean what it says
if (!app.commandLine.hasSwitch('no-sandbox')) app.enableSandbox();
app.setAppUserModelId('org.paretune.app');
protocol.registerSchemesAsPrivileged(schemes);
for (const [name, value] of switches) app.commandLine.appendSwitch(name, value);
app.on('web-contents-created', (_event, contents) => secureContents(contents));

let window: BrowserWindow | null = null;
const environment = readEnvironment();
const settings = openSettings(join(app.getPath('userData'), 'settings.json'));
const handles = makeHandles({ home: homedir(), folders: () => [dataFolder(), app.getAppPath()] });
const later = (done: () => void, ms: number) => void setTimeout(done, ms);
const feed = feedSource((feeds: Feed[]) => {
  if (window !== null && !window.webContents.isDestroyed())
    window.webContents.send(channels.feed, handles.closed(feeds));
}, later);

/** PARETUNE_HOME, what the user moved it to, or where the command line keeps its data too. */
const dataFolder = () =>
  process.env.PARETUNE_HOME ? environment.dataFolder : (settings.get().dataFolder ?? environment.dataFolder);

// The engine is plain JavaScript beside the archive: native libraries and workers must be real files.
const root = app.getAppPath().replace(/app\.asar$/, 'app.asar.unpacked');
const startEngine = (name: string) => () =>
  utilityProcess.fork(join(root, 'dist', 'engine-process', 'main.js'), [dataFolder()], {
    serviceName: name,
    stdio: ['ignore', 'ignore', 'pipe'],
  });

const reading = engineLane({ start: startEngine('Paretune reader'), silenceMs: 120_000 });
const computing = engineLane({
  start: startEngine('Paretune engine'),
  silenceMs: environment.engineSilenceMs,
  onReady: () => feed.tell({ kind: 'engine', engine: { state: 'ready' } }),
  onSilence: (ms) =>
    feed.tell({ kind: 'engine', engine: ms === 0 ? { state: 'ready' } : { state: 'silent', seconds: ms / 1000 } }),
  onDeath: (death) => runs.died(death),
});
const attendant = runAttendant({
  powerSaveBlocker,
  notify({ title, body }, click) {
    if (!Notification.isSupported()) return;
    const notification = new Notification({ title, body });
    notification.on('click', click);
    notification.show();
  },
  setProgress: (share) => window?.setProgressBar(share),
  windowFocused: () => window?.isFocused() ?? false,
  showWindow,
});
const runs = runKeeper({ lane: computing, tell: feed.tell, ...attendant });
const deletions = makeDeletions(computing, settings, later);

const desktop: Desktop = {
  version: app.getVersion(),
  platform: process.platform,
  homeFolder: homedir(),
  dataFolder,
  dataFolderFixed: Boolean(process.env.PARETUNE_HOME),
  async askFolder(title) {
    const { canceled, filePaths } = await dialog.showOpenDialog(window!, {
      title,
      properties: ['openDirectory', 'createDirectory'],
    });
    return canceled ? null : filePaths[0];
  },
  async askFile(title, extensions) {
    const filters = extensions.length === 0 ? [] : [{ name: extensions.join(', '), extensions }];
    const { canceled, filePaths } = await dialog.showOpenDialog(window!, { title, filters, properties: ['openFile'] });
    return canceled ? null : filePaths[0];
  },
  async askSave(title, name) {
    const { canceled, filePath } = await dialog.showSaveDialog(window!, { title, defaultPath: name });
    return canceled || !filePath ? null : filePath;
  },
  async confirm({ title, message, detail, yes, no }) {
    const { response } = await dialog.showMessageBox(window!, {
      type: 'warning',
      title,
      message,
      detail,
      buttons: [no, yes],
      defaultId: 0,
      cancelId: 0,
      noLink: true,
    });
    return response === 1;
  },
  openExternal: (address) => shell.openExternal(address),
  showItem: (path) => shell.showItemInFolder(path),
  setTheme: (theme: Settings['theme']) => {
    nativeTheme.themeSource = theme;
  },
};

function openWindow(): void {
  const saved = settings.get().window;
  const screens = screen.getAllDisplays().map(({ workArea }) => workArea);
  const opened = new BrowserWindow({
    ...windowPlace(saved, screens),
    minWidth: 800,
    minHeight: 560,
    show: false,
    title: 'Paretune',
    icon: join(app.getAppPath(), 'resources', 'icon.png'),
    backgroundColor: nativeTheme.shouldUseDarkColors ? '#16181b' : '#ffffff',
    webPreferences: { ...webPreferences, preload: join(app.getAppPath(), 'dist', 'app', 'preload.cjs') },
  });
  window = opened;
  if (saved?.maximized) opened.maximize();
  opened.once('ready-to-show', () => opened.show());
  opened.on('close', rememberPlace);
  opened.on('closed', () => {
    window = null;
  });
  void opened.loadURL(`${origin}/index.html`);
}

function rememberPlace(): void {
  if (window === null) return;
  settings.set({ window: { ...window.getNormalBounds(), maximized: window.isMaximized() } });
}

function showWindow(): void {
  if (window === null) {
    openWindow();
    return;
  }
  if (window.isMinimized()) window.restore();
  window.show();
  window.focus();
}

app.on('second-instance', showWindow);
app.on('activate', showWindow);
app.on('window-all-closed', () => {
  // as every app on macOS does; a run goes on without a window there
  if (process.platform !== 'darwin') app.quit();
});

let ending = false;
app.on('before-quit', (event) => {
  if (ending) return;
  ending = true;
  event.preventDefault();
  rememberPlace();
  runs.stop();
  void (async () => {
    // a run finishes its step and saves first; then what was deleted goes for good
    await computing.end(quitWaitMs);
    await deletions.finish();
    await Promise.all([computing.end(5000), reading.end(0)]);
  })().finally(() => app.exit(0));
});

void app.whenReady().then(() => {
  desktop.setTheme(settings.get().theme);
  secureSession(session.defaultSession);
  protocol.handle(scheme, serveFolder(join(app.getAppPath(), 'dist', 'renderer')));
  const handlers = callHandlers({ computing, reading, runs, deletions, feed, handles, settings, desktop });
  openDoor(ipcMain, handlers, (path) => dropped(handles, path), handles);
  const template = menuTemplate(
    process.platform,
    app.isPackaged,
    (command) => feed.tell({ kind: 'menu', command }),
    (id) => void shell.openExternal(helpPages[id]),
  );
  Menu.setApplicationMenu(Menu.buildFromTemplate(template));
  computing.wake();
  openWindow();
  void deletions.finish();
  const { unfinishedMove } = settings.get();
  if (unfinishedMove !== null) void removeUnfinished(unfinishedMove).then(() => settings.set({ unfinishedMove: null }));
});
